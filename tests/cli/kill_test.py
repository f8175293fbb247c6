"""kill -9 at random moments, again and again on one run, until it is done: the same bits as the run that was never stopped.
ELBO_KILLS says how often; ELBO_KILL_SEED at which moments."""
import os
import random
import signal
import time
import unittest

from resume_test import FULL
from support import CliTest, checkpoint_steps, half_written, main, metrics_of, start, tensors_of

KILLS = int(os.environ.get("ELBO_KILLS", "3"))
SEED = int(os.environ.get("ELBO_KILL_SEED", "1"))
STEPS_AN_EPOCH = 15


class Kill(CliTest):
    def test_the_run_ends_with_the_bits_of_an_undisturbed_one(self):
        # Long enough that each process gets somewhere before it dies.
        config = self.small(FULL.replace("epochs: 8", f"epochs: {4 * KILLS}"))
        begin = time.monotonic()
        whole = self.train("whole", config=config)
        seconds = time.monotonic() - begin
        run = self.path("run")
        moments = random.Random(SEED)
        killed, reached = 0, []
        while killed < KILLS:
            process = start("train", config, "--run", run, "--resume", "--quiet", cwd=self.folder)
            time.sleep(moments.uniform(0.1, 0.6 + 1.6 * seconds / KILLS))
            process.send_signal(signal.SIGKILL)
            if process.wait() == 0:
                break  # it was done before its time
            killed += 1
            reached.append(max(checkpoint_steps(run), default=0))
            self.assertEqual(reached, sorted(reached))
        print(f"killed {killed} times, checkpoints then at {reached} of {4 * KILLS * STEPS_AN_EPOCH}")
        self.assertGreaterEqual(killed, max(1, KILLS // 2))
        self.elbo("train", config, "--run", run, "--resume", "--quiet")
        self.assertEqual(tensors_of(run), tensors_of(whole))
        self.assertEqual(metrics_of(run), metrics_of(whole))
        self.assertEqual(checkpoint_steps(run), checkpoint_steps(whole))
        self.assertEqual(half_written(run), [])
        for link in ("last", "best"):
            links = [os.readlink(os.path.join(folder, "checkpoints", link)) for folder in (run, whole)]
            self.assertEqual(*links)


if __name__ == "__main__":
    main()
