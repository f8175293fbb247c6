"""elbo sweep: the grid, the table, runs that fail, and going on after everything was killed."""
import csv
import json
import math
import os
import signal
import subprocess
import time
import unittest

from support import SMALL, CliTest, checkpoint_steps, main, read, start, tensors_of

TINY = SMALL.replace("epochs: 2", "epochs: 3, checkpoint: {every_steps: 5}").replace("pictures: 9", "pictures: 0, limit: 50")


def processes_of(folder):
    """Ids of the processes whose command line names this folder."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = read(f"/proc/{pid}/cmdline").split(b"\0")
        except OSError:
            continue
        if any(folder.encode() in word for word in words):
            found.append(int(pid))
    return found


class Sweep(CliTest):
    def setUp(self):
        super().setUp()
        self.config = self.small(TINY)
        self.out = self.path("out")

    def sweep(self, *args, **options):
        return self.elbo("sweep", self.config, "--out", self.out, "--limit", "40", "--threads", "2", *args, **options)

    def table(self):
        return json.loads(read(os.path.join(self.out, "table.json")))

    def test_the_grid_is_trained_and_one_table_says_its_means(self):
        result = self.sweep("--set", "objective.beta=0.5,4", "--set", "model.latent_size=2", "--seeds", "2")
        rows = self.table()["rows"]
        self.assertEqual([row["settings"] for row in rows], [{"objective.beta": "0.5"}, {"objective.beta": "4"}])
        for row in rows:
            self.assertEqual([run["seed"] for run in row["runs"]], [3, 4])
            for name, mean in row["metrics"].items():
                values = [run["metrics"][name] for run in row["runs"]]
                self.assertAlmostEqual(mean["mean"], sum(values) / 2, places=9)
                self.assertAlmostEqual(mean["standard_error"], abs(values[0] - values[1]) / 2, places=9)
                self.assertNotIn("standard_error", name)
            self.assertIn("valid/elbo_nats", row["metrics"])
            self.assertIn("test/elbo_nats", row["metrics"])
            run = row["runs"][0]["run"]
            # The numbers are those of the run's own evaluation, and the run is the one that train makes.
            again = json.loads(self.elbo("evaluate", run, "--limit", "40", "--json", "-", "--quiet").out)
            self.assertTrue(math.isclose(again["metrics"]["elbo_nats"], row["runs"][0]["metrics"]["test/elbo_nats"], rel_tol=1e-6))
        beta = "objective.beta=0.5"
        self.train("alone", "--set", beta, "--set", "model.latent_size=2", "--threads", "1", config=self.config)
        self.assertEqual(tensors_of(self.path("alone")), tensors_of(os.path.join(self.out, beta, "seed-3")))
        lines = result.out.splitlines()
        self.assertRegex(lines[0], r"^objective.beta +runs .*valid/elbo_nats.* test/elbo_nats")
        self.assertRegex(lines[2], r"^ +0.5 +2 .*-\d+\.\d+ ± \d")
        with open(os.path.join(self.out, "table.csv"), newline="", encoding="utf-8") as file:
            table = list(csv.DictReader(file))
        self.assertEqual([row["objective.beta"] for row in table], ["0.5", "4"])
        self.assertAlmostEqual(float(table[0]["test/elbo_nats_mean"]), rows[0]["metrics"]["test/elbo_nats"]["mean"])

        stamp = os.path.getmtime(os.path.join(self.out, beta, "seed-3", "metrics.jsonl"))
        logs = {name: read(os.path.join(self.out, beta, name)) for name in ("seed-3.log", "seed-4.log")}
        again = self.sweep("--set", "objective.beta=0.5,4", "--set", "model.latent_size=2", "--seeds", "2")
        self.assertEqual(again.out, result.out)
        self.assertIn("4 of 4 runs done", again.err)
        self.assertEqual(os.path.getmtime(os.path.join(self.out, beta, "seed-3", "metrics.jsonl")), stamp)
        self.assertEqual({name: read(os.path.join(self.out, beta, name)) for name in logs}, logs, "nothing was started")

    def test_after_kill_9_of_everything_it_goes_on_to_the_same_table(self):
        args = ("--set", "objective.beta=1,4", "--seeds", "2", "--jobs", "2", "--set", "training.epochs=12")
        whole = self.sweep(*args).out
        numbers = self.table()
        weights = tensors_of(os.path.join(self.out, "objective.beta=4", "seed-4"))
        self.out = self.path("killed")
        process = start("sweep", self.config, "--out", self.out, "--limit", "40", "--threads", "2", *args, cwd=self.folder,
                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        first = os.path.join(self.out, "objective.beta=1", "seed-3")
        deadline = time.monotonic() + 60
        while process.poll() is None and max(checkpoint_steps(first), default=0) < 10 and time.monotonic() < deadline:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)  # its children go with it
        process.wait()
        while processes_of(self.out) and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertEqual(processes_of(self.out), [], "children outlived the sweep")
        self.assertFalse(os.path.exists(os.path.join(first, "sweep.json")), "killed too late to test anything")
        self.assertGreater(max(checkpoint_steps(first)), 0)
        result = self.sweep(*args)
        self.assertIn("0 of 4 runs done", result.err)
        self.assertEqual(result.out, whole)
        self.assertIn("continuing from", read(os.path.join(self.out, "objective.beta=1", "seed-3.log")).decode())
        for row, other in zip(self.table()["rows"], numbers["rows"]):
            self.assertEqual(row["metrics"], other["metrics"])
            self.assertEqual(row["metrics"]["test/elbo_nats"]["count"], 2)
        self.assertEqual(tensors_of(os.path.join(self.out, "objective.beta=4", "seed-4")), weights)

    def test_a_signal_lets_the_runs_write_their_checkpoints(self):
        process = start("sweep", self.config, "--out", self.out, "--set", "training.epochs=5000", "--seeds", "2", "--threads", "2",
                        cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        run = os.path.join(self.out, "all", "seed-3")
        while process.poll() is None and not checkpoint_steps(run):
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        err = process.communicate(timeout=60)[1]
        self.assertEqual(process.returncode, 130, err)
        self.assertIn("error: stopped with 0 of 2 runs done; the same command goes on", err)
        self.assertIn("stopped after step", read(run + ".log").decode())
        self.assertEqual(processes_of(self.out), [])

    def test_a_run_that_fails_is_named_and_the_others_go_on(self):
        result = self.sweep("--set", "optimizer.learning_rate=1e-3,1e30", "--set", "training.weight_average=0", check_code=1)
        rows = self.table()["rows"]
        self.assertEqual([run["finished"] for row in rows for run in row["runs"]], [True, False])
        failed = rows[1]["runs"][0]
        self.assertEqual(failed["exit_code"], 5)
        self.assertIn("is not finite", failed["reason"])
        self.assertIn(failed["log"], result.out)
        self.assertIn("0 of 1", result.out)
        self.assertIn("train ended with 5", result.out)
        self.assertIn("error: 1 of 2 runs failed", result.err)
        self.assertIn("error: " + failed["reason"], read(failed["log"]).decode())

    def test_what_cannot_work_is_refused_before_anything_starts(self):
        self.refused(2, "sweep", self.config, "--out", self.out, "--set", "objective.beta=1,-4", says="objective.beta: must be >= 0")
        self.refused(1, "sweep", self.config, "--out", self.out, "--set", "seed=1,2", says="--seeds")
        self.refused(1, "sweep", self.config, "--out", self.out, "--seeds", "0", says="--seeds: got '0'")
        self.refused(1, "sweep", self.config, "--out", self.out, "--metrics", "elbow", says="elbow")
        self.assertFalse(os.path.exists(self.out))
        self.refused(1, "sweep", self.config, "--out", self.folder, says="is not empty and holds no sweep")


if __name__ == "__main__":
    main()
