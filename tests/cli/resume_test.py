"""Stopping and going on: signals, what --resume allows to change, and the same bits as a run that was never stopped."""
import os
import shutil
import signal
import subprocess
import time
import unittest

from support import SMALL, CliTest, checkpoint_steps, half_written, last_checkpoint, main, metrics_of, read, start, tensors_of, write

# Everything that has a state: dynamic binarisation, a schedule, clipping, averaged weights, checkpoints between epochs.
FULL = SMALL.replace("learning_rate: 1e-2", "learning_rate: {type: cosine, from: 1e-2, to: 1e-3, warmup_steps: 5}").replace(
    "training: {epochs: 2,", "training: {epochs: 8, clip_norm: 5, weight_average: 0.9, checkpoint: {every_steps: 7, keep: 2},")


class Resume(CliTest):
    def setUp(self):
        super().setUp()
        self.config = self.small(FULL)

    def assert_same_run(self, run, other):
        self.assertEqual(tensors_of(run), tensors_of(other))
        self.assertEqual(metrics_of(run), metrics_of(other))
        self.assertEqual(half_written(run), [])

    def interrupt(self, run, which, after_step=1):
        """Starts a run, stops it by a signal after a checkpoint of that step was written; the process's end."""
        process = start("train", self.config, "--run", run, "--quiet", cwd=self.folder, stderr=subprocess.PIPE, text=True)
        try:
            while process.poll() is None and max(checkpoint_steps(run), default=0) < after_step:
                time.sleep(0.002)
            process.send_signal(which)
            err = process.communicate(timeout=60)[1]
        finally:
            process.kill()
            process.wait()
        return process.returncode, err

    def test_a_signal_stops_after_a_checkpoint_and_the_run_goes_on_to_the_same_bits(self):
        whole = self.train("whole", config=self.config)
        for which in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(which.name):
                run = self.path(which.name)
                code, err = self.interrupt(run, which)
                self.assertEqual(code, 130, err)
                steps = checkpoint_steps(run)
                self.assertRegex(err, rf"(?m)^error: stopped after step {steps[-1]} of \d+; continue it with --run {run} --resume$")
                self.assertEqual(err.count("error: "), 1, err)
                self.assertLess(steps[-1], checkpoint_steps(whole)[-1])
                self.assertEqual(os.readlink(os.path.join(run, "checkpoints", "last")), f"step-{steps[-1]}")
                self.elbo("evaluate", run, "--limit", "10")
                self.elbo("train", self.config, "--run", run, "--resume", "--quiet")
                self.assert_same_run(run, whole)

    def test_a_signal_ends_a_long_evaluation_and_it_is_made_up_for(self):
        long = ("--set", "evaluation={metrics: [log_likelihood], samples: 2000000, pictures: 0}")
        short = ("--set", "evaluation={metrics: [log_likelihood], samples: 20, pictures: 0}")
        whole = self.train("whole", *short, config=self.config)
        run = self.path("run")
        process = start("train", self.config, "--run", run, "--quiet", *long, cwd=self.folder, stderr=subprocess.PIPE, text=True)
        try:
            while process.poll() is None and b'"epoch":1' not in (read(os.path.join(run, "metrics.jsonl"))
                                                                  if os.path.exists(os.path.join(run, "metrics.jsonl")) else b""):
                time.sleep(0.01)
            time.sleep(0.5)  # the evaluation has begun; it would take hours
            process.send_signal(signal.SIGINT)
            err = process.communicate(timeout=30)[1]
        finally:
            process.kill()
            process.wait()
        self.assertEqual(process.returncode, 130, err)
        self.assertEqual(checkpoint_steps(run)[-1], 15)
        self.elbo("train", self.config, "--run", run, "--resume", "--quiet", *short)
        self.assert_same_run(run, whole)

    def test_resume_starts_where_there_is_nothing_and_does_nothing_at_the_end(self):
        whole = self.train("whole", config=self.config)
        run = self.train("run", "--resume", config=self.config)
        self.assert_same_run(run, whole)
        result = self.elbo("train", self.config, "--run", run, "--resume")
        self.assertIn("training is already at step 120 of 120", result.err)
        self.assert_same_run(run, whole)

    def test_a_run_goes_on_by_its_own_configuration(self):
        constant = self.small(SMALL, "constant.yaml")
        whole = self.train("whole", "--set", "training.epochs=4", config=constant)
        run = self.train("run", config=constant)
        os.remove(constant)
        self.elbo("train", "--resume", "--run", run, "--quiet", "--set", "training.epochs=4")
        self.assert_same_run(run, whole)
        self.refused(1, "train", "--resume", "--run", "empty", says="there is no run in 'empty' to continue; name the CONFIG.yaml")
        self.refused(1, "train", "--run", run, says="got 0 arguments, expected 1 (CONFIG.yaml)")

    def test_a_checkpoint_is_no_run_to_go_on_in(self):
        run = self.train("run")
        checkpoint = last_checkpoint(run)
        before = {name: read(os.path.join(checkpoint, name)) for name in os.listdir(checkpoint)}
        self.refused(4, "train", "--resume", "--run", checkpoint, "--set", "training.epochs=3", says="is a checkpoint; name the folder of its run")
        self.assertEqual({name: read(os.path.join(checkpoint, name)) for name in os.listdir(checkpoint)}, before)

    def test_a_longer_training_is_the_one_that_was_asked_for_at_once(self):
        constant = self.small(SMALL, "constant.yaml")  # a schedule over the whole run would depend on its length
        whole = self.train("whole", "--set", "training.epochs=4", config=constant)
        run = self.train("run", config=constant)
        self.elbo("train", constant, "--run", run, "--resume", "--quiet", "--set", "training.epochs=4")
        self.assert_same_run(run, whole)
        self.assertIn("epochs: 4", read(os.path.join(run, "config.yaml")).decode())

    def test_logging_evaluation_and_cadence_may_change(self):
        run = self.train("run", config=self.config)
        self.elbo("train", self.config, "--run", run, "--resume", "--quiet", "--set", "training.log_every_steps=3", "--set",
                  "training.checkpoint.keep=9", "--set", "evaluation={metrics: [elbo, active_units], every_epochs: 2}", "--set",
                  "training.epochs=9")

    def test_any_other_change_is_exit_2_and_lists_the_keys(self):
        run = self.train("run", config=self.config)
        before = read(os.path.join(run, "config.yaml"))
        self.refused(2, "train", self.config, "--run", run, "--resume", "--set", "model.latent_size=5", "--set",
                     "objective={type: iwae, samples: 3}", "--set", "training.clip_norm=6",
                     says=[f"{run}: this run was started with another config", "model.latent_size: 4, now 5",
                           "objective.type: elbo, now iwae", "objective.samples: 1, now 3", "training.clip_norm: 5, now 6"])
        self.refused(2, "train", self.config, "--run", run, "--resume", "--seed", "9", says="seed: 3, now 9")
        self.assertEqual(read(os.path.join(run, "config.yaml")), before)

    def test_a_run_from_before_an_option_came_goes_on(self):
        """Its config.yaml does not know the option: what it did is the default."""
        run = self.train("run", config=self.config)
        path = os.path.join(run, "config.yaml")
        now = read(path).decode()
        before = "".join(line for line in now.splitlines(keepends=True) if "  flip: " not in line)
        self.assertNotEqual(before, now)
        write(path, before)
        self.refused(2, "train", self.config, "--run", run, "--resume", "--set", "data.flip=true", says="data.flip: false, now true")
        self.elbo("train", self.config, "--run", run, "--resume", "--quiet")
        self.assertEqual(read(path).decode(), now)

    def test_a_damaged_last_checkpoint_is_named_and_nothing_is_overwritten(self):
        run = self.train("run", config=self.config)
        path = os.path.join(run, "checkpoints", "last", "training.safetensors")
        content = bytearray(read(path))
        content[len(content) // 2] ^= 4
        with open(path, "wb") as file:
            file.write(content)
        metrics = read(os.path.join(run, "metrics.jsonl"))
        self.refused(4, "train", self.config, "--run", run, "--resume", "--quiet", "--set", "training.epochs=9",
                     says=["training.safetensors", "others here: step-"])
        self.assertEqual(read(os.path.join(run, "metrics.jsonl")), metrics)

    def test_the_undamaged_older_checkpoint_serves_when_the_broken_one_is_removed(self):
        whole = self.train("whole", config=self.config)
        run = self.path("run")
        shutil.copytree(whole, run, symlinks=True)
        shutil.rmtree(os.path.join(run, "checkpoints", os.readlink(os.path.join(run, "checkpoints", "last"))))
        self.elbo("train", self.config, "--run", run, "--resume", "--quiet")
        self.assert_same_run(run, whole)


if __name__ == "__main__":
    main()
