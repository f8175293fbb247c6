"""elbo train: what a run's folder holds, every smoke config, and starts that must be refused."""
import glob
import json
import os
import re
import signal
import subprocess
import unittest

from support import (PROGRAM, SMALL, SOURCE, CliTest, checkpoint_steps, elbo, files_below, half_written, is_png, main, metrics_of,
                     read, start, tensors_of)

SMOKE = sorted(glob.glob(os.path.join(SOURCE, "configs", "smoke", "*.yaml")))


class Folder(CliTest):
    def check_folder(self, run, name):
        """The layout that the command line promises."""
        config = read(os.path.join(run, "config.yaml")).decode()
        self.assertIn(f"name: {name}", config)
        lines = metrics_of(run)
        self.assertTrue(lines)
        for line in lines:
            self.assertLessEqual({"step", "epoch", "split"}, set(line))
        for split, key in (("train", "bound"), ("valid", "bound")):
            self.assertTrue([line for line in lines if line["split"] == split and isinstance(line.get(key), float)], split)
        steps = [line["step"] for line in lines]
        self.assertEqual(steps, sorted(steps))
        self.assertTrue(read(os.path.join(run, "log.txt")))
        events = glob.glob(os.path.join(run, "events.out.tfevents.*"))
        self.assertEqual(len(events), 1)
        self.assertGreater(os.path.getsize(events[0]), 100)
        checkpoints = os.path.join(run, "checkpoints")
        for link in ("last", "best"):
            target = os.readlink(os.path.join(checkpoints, link))
            self.assertRegex(target, r"^step-\d+$")
            self.assertEqual(sorted(os.listdir(os.path.join(checkpoints, link))),
                             ["SHA256SUMS", "config.yaml", "model.safetensors", "state.json", "training.safetensors"])
            checked = subprocess.run(["sha256sum", "--check", "--quiet", "--strict", "SHA256SUMS"],
                                     cwd=os.path.join(checkpoints, link), capture_output=True, text=True)
            self.assertEqual((checked.returncode, checked.stdout), (0, ""))
        self.assertEqual(max(checkpoint_steps(run)), steps[-1])
        pictures = glob.glob(os.path.join(run, "samples", "*.png"))
        second = "cross_generation.png" if "type: multimodal_vae" in config else "reconstructions.png"
        self.assertEqual({re.sub(r".*step-\d+-", "", path) for path in pictures},
                         set() if "type: table" in config else {"samples.png", second})
        for path in pictures:
            self.assertTrue(is_png(path), path)
        self.assertEqual(half_written(run), [])

    def test_every_smoke_config_trains(self):
        self.assertGreaterEqual(len(SMOKE), 4)
        base = {path: re.search(r"^base: {run: runs/smoke/(\w+)}", read(path).decode(), re.MULTILINE) for path in SMOKE}
        for path in sorted(SMOKE, key=lambda path: (base[path] is not None, path)):  # second stages after what they build on
            name = os.path.basename(path)[:-5]
            second_stage = ["--set", f"base.run={base[path].group(1)}"] if base[path] else []
            with self.subTest(name):
                result = self.elbo("train", path, "--run", name, "--data-root", os.path.join(SOURCE, "configs", "smoke"), *second_stage)
                self.check_folder(self.path(name), f"smoke/{name}")
                self.assertRegex(result.err, rf"smoke/{name}   \w+ ")
                self.assertIn("parameters   cpu, 1 thread   run ", result.err)
                self.assertEqual(result.out, "")

    def test_training_improves_the_bound(self):
        lines = metrics_of(self.train("run", "--set", "training.epochs=6"))
        bounds = [line["bound"] for line in lines if line["split"] == "valid" and "bound" in line]
        self.assertEqual(len(bounds), 6)
        self.assertGreater(bounds[-1], bounds[0] + 2)
        self.assertTrue(all(-64 < bound < 0 for bound in bounds[1:]), bounds)

    def test_without_run_the_folder_is_named_by_config_and_time(self):
        self.elbo("train", self.small(), "--quiet")
        runs = glob.glob(self.path("runs", "test", "small", "*"))
        self.assertEqual(len(runs), 1)
        self.assertRegex(os.path.basename(runs[0]), r"^\d{8}T\d{6}Z$")
        self.check_folder(runs[0], "test/small")

    def test_same_seed_same_bits_another_seed_other_bits(self):
        first, second, third = self.train("a"), self.train("b"), self.train("c", "--seed", "4")
        self.assertEqual(tensors_of(first), tensors_of(second))
        self.assertEqual(metrics_of(first), metrics_of(second))
        self.assertNotEqual(tensors_of(first)["model.safetensors"], tensors_of(third)["model.safetensors"])

    def test_a_run_can_be_moved(self):
        run = self.train()
        os.rename(run, self.path("moved"))
        self.elbo("evaluate", self.path("moved"))
        self.elbo("info", self.path("moved"))

    def test_quiet_says_nothing(self):
        result = self.elbo("train", self.small(), "--run", "run", "--quiet")
        self.assertEqual((result.out, result.err), ("", ""))


class Refusals(CliTest):
    def test_a_used_folder_without_resume_is_left_alone(self):
        run = self.train()
        before = {path: read(os.path.join(run, path)) for path in files_below(run) if os.path.isfile(os.path.join(run, path))}
        self.refused(4, "train", self.small(), "--run", run, says=["already holds a run", "--resume"])
        after = {path: read(os.path.join(run, path)) for path in files_below(run) if os.path.isfile(os.path.join(run, path))}
        self.assertEqual(before, after)

    def test_two_writers_at_once(self):
        undisturbed = self.train("undisturbed")
        first = start("train", self.small(), "--run", "run", "--quiet", cwd=self.folder, stderr=subprocess.PIPE)
        try:
            while not os.path.exists(self.path("run", "config.yaml")):
                self.assertIsNone(first.poll())
            first.send_signal(signal.SIGSTOP)  # however slow the second is, the first holds the folder
            for resume in ((), ("--resume",)):
                self.refused(4, "train", self.small(), "--run", "run", "--quiet", *resume, says=[str(first.pid)])
            first.send_signal(signal.SIGCONT)
            self.assertEqual(first.communicate()[1], b"")
        finally:
            first.kill()
            first.wait()
        self.assertEqual(first.returncode, 0)
        self.assertEqual(tensors_of(self.path("run")), tensors_of(undisturbed))
        self.assertEqual(metrics_of(self.path("run")), metrics_of(undisturbed))

    def test_cuda_where_there_is_none(self):
        if os.path.exists("/dev/nvidiactl"):
            self.skipTest("this machine has a CUDA driver")
        for device in ("cuda", "cuda:3"):
            self.refused(6, "train", self.small(), "--run", "run", "--device", device, says=[device, "--device cpu"])
        self.assertFalse(os.path.exists(self.path("run")))

    def test_missing_data_names_the_file_and_the_remedy(self):
        config = os.path.join(SOURCE, "configs", "fashion_mnist", "vae.yaml")
        for args, env in ((("--data-root", "nowhere"), {}), ((), {"ELBO_DATA_ROOT": "nowhere"})):
            self.refused(3, "train", config, "--run", "run", *args, env=env,
                         says=["nowhere/fashion_mnist/train-images-idx3-ubyte", "scripts/fetch_data.sh fashion_mnist"])
        self.assertEqual(os.listdir(self.folder), [])

    def test_components_that_do_not_fit_are_refused_before_a_folder_is_made(self):
        for setting, says in [("data.binarize=none", "binarise"), ("model.encoder={type: conv, channels: [8, 8, 8, 8]}", "divisible"),
                              ("evaluation.metrics=[elbow]", "elbo"), ("training.steps=5", "epochs")]:
            with self.subTest(setting):
                self.refused(2, "train", self.small(), "--run", "run", "--quiet", "--set", setting, says=says)
                self.assertFalse(os.path.exists(self.path("run")))

    def test_a_monitor_that_is_not_evaluated_is_refused_before_there_is_a_run(self):
        self.refused(2, "train", self.small(), "--run", "run", "--quiet", "--set", "training.monitor=valid/bond",
                     says=["training.monitor: 'valid/bond'", "did you mean 'valid/bound'"])
        self.refused(2, "train", self.small(), "--run", "run", "--quiet", "--set", "training.monitor=none", "--set",
                     "optimizer.learning_rate={type: plateau, from: 1e-3}", says="nothing to follow")
        self.assertFalse(os.path.exists(self.path("run")))

    def test_what_the_trainer_cannot_do_is_refused_before_there_is_a_run(self):
        self.refused(2, "train", self.small(), "--run", "run", "--set", "training.accumulate=3",
                     says="training.accumulate: 3 parts do not divide a batch of 100 rows")
        self.refused(2, "train", self.small(), "--run", "run", "--set", "training.phases.mian.optimizer.type=sgd",
                     says=["training.phases: 'mian' is no phase of objective 'elbo' (line 9)", "did you mean 'main'?"])
        self.assertFalse(os.path.exists(self.path("run")))

    def test_accumulation_and_bfloat16_give_the_losses_of_the_whole_batch_in_float32(self):
        fixed = ("--set", "data.binarize=threshold")
        whole = metrics_of(self.train("whole", *fixed))
        for name, setting, tolerance in (("parts", "training.accumulate=4", 1e-4), ("lower", "training.precision=bfloat16", 1e-2)):
            with self.subTest(name):
                lines = metrics_of(self.train(name, *fixed, "--set", setting))
                self.assertEqual([line["step"] for line in lines], [line["step"] for line in whole])
                for line, other in zip(lines, whole):
                    for key in set(line) & {"loss", "bound"}:
                        self.assertAlmostEqual(line[key] / other[key], 1, delta=tolerance, msg=f"{key} of step {line['step']}")

    def test_the_logs_tell_norms_rate_speed_and_memory(self):
        run = self.train()
        lines = [json.loads(line) for line in read(os.path.join(run, "metrics.jsonl")).decode().splitlines()]
        train = [line for line in lines if line["split"] == "train"]
        for name in ("gradient_norm", "update_norm", "parameter_norm", "learning_rate", "examples_per_second", "peak_memory_bytes"):
            self.assertTrue(all(line[name] > 0 for line in train), name)

    def test_a_run_that_diverges_says_which_term_and_keeps_no_bad_checkpoint(self):
        result = self.elbo("train", self.small(), "--run", "run", "--quiet", "--set", "optimizer={type: sgd, learning_rate: 1e30}",
                           check_code=5)
        self.assertEqual(len(result.errors), 1, result)
        self.assertRegex(result.err, r"step \d|bound|reconstruction")
        self.assertEqual(checkpoint_steps(self.path("run")), [])


if __name__ == "__main__":
    main()
