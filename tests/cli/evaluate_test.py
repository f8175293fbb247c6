"""elbo evaluate, sample, reconstruct, info on one trained run: numbers that don't depend on how they are computed, clean output,
and damaged checkpoints."""
import csv
import glob
import hashlib
import json
import math
import os
import shutil
import tempfile
import unittest
import zipfile

from support import SMALL, CliTest, elbo, is_png, main, read, write

IWAE = SMALL.replace("{type: elbo}", "{type: iwae, samples: 5}")


def npy_shape(data):
    """Type and extents of a .npy member, from its header."""
    assert data[:6] == b"\x93NUMPY"
    header = eval(data[10:10 + int.from_bytes(data[8:10], "little")].decode())  # a literal dict by the format
    return header["descr"], header["shape"]


def npz(path):
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {name[:-4]: npy_shape(archive.read(name)) for name in archive.namelist()}


class TrainedRun(CliTest):
    @classmethod
    def setUpClass(cls):
        cls.shared = tempfile.TemporaryDirectory(prefix="elbo-test-")
        cls.run_folder = os.path.join(cls.shared.name, "run")
        config = write(os.path.join(cls.shared.name, "small.yaml"), IWAE)
        elbo("train", config, "--run", cls.run_folder, "--quiet")

    @classmethod
    def tearDownClass(cls):
        cls.shared.cleanup()

    def evaluate(self, *args, **options):
        """The metrics of `elbo evaluate --json -`."""
        return json.loads(self.elbo("evaluate", self.run_folder, "--json", "-", *args, **options).out)["metrics"]

    def best(self, name):
        return os.path.join(self.run_folder, "checkpoints", "best", name)

    def assert_close(self, a, b, tolerance):
        self.assertEqual(a.keys(), b.keys())
        for key in a:
            self.assertAlmostEqual(a[key], b[key], delta=tolerance * max(1, abs(a[key])), msg=key)


class Evaluate(TrainedRun):
    def test_json_to_standard_output_is_one_object_and_nothing_else(self):
        result = self.elbo("evaluate", self.run_folder, "--metrics", "elbo,bound,log_likelihood,active_units,reconstruction_error",
                           "--samples", "64", "--json", "-")
        value, end = json.JSONDecoder().raw_decode(result.out)
        self.assertEqual(result.out[end:].strip(), "")
        self.assertEqual((value["run"], value["split"], value["num_examples"], value["samples"], value["seed"]),
                         (self.run_folder, "test", 180, 64, 0))
        self.assertRegex(value["checkpoint"], r"^step-\d+$")
        self.assertEqual((value["config"], value["device"], value["limit"]), ("test/small", "cpu", 0))
        self.assertEqual(value["weights_sha256"], hashlib.sha256(read(self.best("model.safetensors"))).hexdigest())
        self.assertEqual(value["data_sha256"], json.loads(read(self.best("state.json")))["data_sha256"])
        self.assertEqual("elbo " + value["elbo_version"], self.elbo("--version").out.strip())
        for key in ("elbo_nats", "elbo_standard_error_nats", "kl_nats", "reconstruction_nats", "bound_nats", "log_likelihood_nats",
                    "log_likelihood_standard_error_nats", "effective_sample_size", "active_units", "num_units",
                    "reconstruction_error"):
            self.assertIn(key, value["metrics"])
        metrics = value["metrics"]
        self.assertAlmostEqual(metrics["elbo_nats"], -metrics["reconstruction_nats"] - metrics["kl_nats"], places=4)
        self.assertLess(metrics["elbo_nats"], metrics["bound_nats"])  # L_5 of iwae
        self.assertLess(metrics["bound_nats"], metrics["log_likelihood_nats"])
        self.assertEqual(metrics["num_units"], 4)

    def test_json_to_a_file_prints_a_table_to_standard_output(self):
        result = self.elbo("evaluate", self.run_folder, "--json", "result.json")
        self.assertIn("elbo_nats", json.loads(read(self.path("result.json")))["metrics"])
        self.assertIn("elbo_nats", result.out)
        self.assertIn("standard error", result.out)

    def test_twice_is_equal_and_another_seed_is_not(self):
        first = self.elbo("evaluate", self.run_folder, "--json", "-").out
        self.assertEqual(first, self.elbo("evaluate", self.run_folder, "--json", "-").out)
        self.assertNotEqual(json.loads(first)["metrics"], self.evaluate("--seed", "1"))

    def test_bits_are_the_nats_of_a_binary_pixel(self):
        metrics = self.evaluate("--metrics", "elbo,log_likelihood,bits_per_dim", "--samples", "16")
        for name in ("elbo", "log_likelihood"):
            self.assertAlmostEqual(metrics[name + "_bits_per_dim"], -metrics[name + "_nats"] / (64 * math.log(2)), places=6)

    def test_information_and_marginal_are_the_kl(self):
        metrics = self.evaluate("--metrics", "elbo,mutual_information")
        information, marginal = metrics["mutual_information_nats"], metrics["marginal_kl_nats"]
        self.assertAlmostEqual(information + marginal, metrics["kl_nats"], delta=0.3)  # of one draw a row against the closed form
        self.assertTrue(0 < information <= math.log(180))

    def test_pictures_too_small_for_the_window_are_told(self):
        self.refused(1, "evaluate", self.run_folder, "--metrics", "ssim", says="at least 11 x 11 pixels; x is [1, 8, 8]")
        self.assertGreater(self.evaluate("--metrics", "psnr")["psnr_db"], 3)

    def test_batch_size_changes_nothing_beyond_rounding(self):
        args = ("--metrics", "elbo,log_likelihood,active_units", "--samples", "40")
        whole = self.evaluate(*args)
        for size in ("1", "7", "64", "180", "100000"):
            with self.subTest(size):
                self.assert_close(whole, self.evaluate(*args, "--batch-size", size), 2e-6)

    def test_limit_is_a_prefix(self):
        for name, args in (("all", ()), ("some", ("--limit", "70"))):
            self.elbo("evaluate", self.run_folder, "--metrics", "elbo,log_likelihood", "--samples", "20", "--per-example", f"{name}.csv",
                      *args)
        rows = {}
        for name in ("all", "some"):
            with open(self.path(f"{name}.csv"), newline="", encoding="utf-8") as file:
                rows[name] = list(csv.DictReader(file))
        self.assertEqual((len(rows["all"]), len(rows["some"])), (180, 70))
        for whole, part in zip(rows["all"], rows["some"]):
            self.assertEqual(whole["index"], part["index"])
            for key in ("elbo_nats", "log_likelihood_nats"):
                self.assertAlmostEqual(float(whole[key]), float(part[key]), delta=1e-4)

    def test_more_samples_of_the_same_noise_raise_the_likelihood_on_average(self):
        values = [self.evaluate("--metrics", "log_likelihood", "--samples", K)["log_likelihood_nats"] for K in (1, 8, 64, 512)]
        self.assertEqual(values, sorted(values))
        self.assertLess(values[-1] - values[-2], values[1] - values[0])

    def test_per_example_averages_to_the_result(self):
        metrics = self.evaluate("--per-example", "rows.csv")
        with open(self.path("rows.csv"), newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual([int(row["index"]) for row in rows], list(range(180)))
        for key in ("elbo_nats", "kl_nats"):
            self.assertAlmostEqual(sum(float(row[key]) for row in rows) / 180, metrics[key], places=6)
        self.evaluate("--per-example", "rows.npz")
        self.assertEqual(npz(self.path("rows.npz")), {"index": ("<i8", (180,)), "elbo_nats": ("<f8", (180,)),
                                                      "reconstruction_nats": ("<f8", (180,)), "kl_nats": ("<f8", (180,))})

    def test_saved_noise_is_a_number_a_latent_unit_and_row(self):
        self.evaluate("--save-noise", "noise.npz", "--limit", "70", "--batch-size", "33")
        self.assertEqual(npz(self.path("noise.npz")), {"noise_0": ("<f4", (70, 4))})
        self.evaluate("--save-noise", "again.npz", "--limit", "70", "--batch-size", "64")
        with zipfile.ZipFile(self.path("noise.npz")) as a, zipfile.ZipFile(self.path("again.npz")) as b:
            self.assertEqual(a.read("noise_0.npy"), b.read("noise_0.npy"))

    def test_splits_and_checkpoints(self):
        sizes = {}
        for split in ("train", "valid", "test"):
            sizes[split] = json.loads(self.elbo("evaluate", self.run_folder, "--split", split, "--json", "-").out)["num_examples"]
        self.assertEqual(sum(sizes.values()), 1797)
        self.assertEqual(sizes["valid"], sizes["test"])
        named = self.elbo("evaluate", os.path.join(self.run_folder, "checkpoints", "best"), "--json", "-").out
        self.assertEqual(json.loads(named)["metrics"], self.evaluate())

    def test_mistakes_are_exit_1_before_anything_is_read(self):
        for args, says in [(("--metrics", "elbow"), "did you mean 'elbo'"), (("--metrics", "elbo,,"), "metric"),
                           (("--samples", "0"), "--samples"), (("--samples", "-5"), "--samples"), (("--samples", "ten"), "samples"),
                           (("--limit", "-1"), "--limit"), (("--batch-size", "0"), "--batch-size"), (("--split", "dev"), "--split"),
                           (("--seed", "-1"), "--seed"), (("--per-example", "rows.xlsx"), ".csv"),
                           (("--per-example", "a.npz", "--save-noise", "./a.npz"), "is what --save-noise writes"),
                           (("--per-example", "a.csv", "--json", "a.csv"), "is what --per-example writes")]:
            with self.subTest(args):
                self.refused(1, "evaluate", self.run_folder, *args, "--quiet", says=says)
        self.assertEqual(os.listdir(self.folder), [])


class Pictures(TrainedRun):
    def test_samples(self):
        self.elbo("sample", self.run_folder, "--count", "10", "--out", "samples.png")
        self.assertTrue(is_png(self.path("samples.png")))
        self.elbo("sample", self.run_folder, "--count", "10", "--out", "samples.npz", "--temperature", "0.5")
        self.assertEqual(npz(self.path("samples.npz")), {"x": ("<f4", (10, 1, 8, 8))})
        first = read(self.path("samples.npz"))
        self.elbo("sample", self.run_folder, "--count", "10", "--out", "samples.npz", "--temperature", "0.5", "--seed", "1")
        self.assertNotEqual(read(self.path("samples.npz")), first)

    def test_reconstructions(self):
        self.elbo("reconstruct", self.run_folder, "--out", "r.png")
        self.assertTrue(is_png(self.path("r.png")))
        self.elbo("reconstruct", self.run_folder, "--count", "20", "--out", "r.npz")
        self.assertEqual(npz(self.path("r.npz")), {"x": ("<f4", (20, 1, 8, 8)), "reconstruction": ("<f4", (20, 1, 8, 8)),
                                                   "index": ("<i8", (20,)), "label": ("<i8", (20,))})

    def test_mistakes(self):
        for args, says in [(("sample", self.run_folder, "--out", "samples.jpg"), ".png or .npz"),
                           (("sample", self.run_folder, "--count", "0"), "--count"),
                           (("sample", self.run_folder, "--temperature", "-1"), "--temperature"),
                           (("sample", self.run_folder, "--temperature", "nan"), "--temperature"),
                           (("reconstruct", self.run_folder, "--split", "all"), "--split")]:
            with self.subTest(args):
                self.refused(1, *args, says=says)
        self.assertEqual(os.listdir(self.folder), [])

    def test_where_a_picture_cannot_go_is_told_before_the_work(self):
        for command in ("sample", "reconstruct"):
            self.refused(1, command, self.run_folder, "--out", "nowhere/samples.png", says="nowhere/samples.png")
            os.mkdir(self.path("folder.png"))
            self.refused(1, command, self.run_folder, "--out", "folder.png", says="is a folder")
            os.rmdir(self.path("folder.png"))


class Info(TrainedRun):
    def test_tells_experiment_checkpoint_and_last_numbers(self):
        text = self.elbo("info", self.run_folder).out
        for words in ("test/small", "iwae", "step ", "best valid/bound", "last valid values", "last train values"):
            self.assertIn(words, text)


class Damage(TrainedRun):
    def setUp(self):
        super().setUp()
        self.copy = self.path("copy")
        shutil.copytree(self.run_folder, self.copy, symlinks=True)
        self.checkpoint = os.path.join(self.copy, "checkpoints", os.readlink(os.path.join(self.copy, "checkpoints", "best")))

    def refused_by_all(self, *says):
        for command in (("evaluate", self.copy), ("sample", self.copy, "--out", self.path("s.png")), ("info", self.copy)):
            self.refused(4, *command, says=says)
        self.assertEqual(os.listdir(self.folder), ["copy"])

    def test_one_flipped_bit_of_any_file_names_it(self):
        for name in ("model.safetensors", "training.safetensors", "state.json", "config.yaml"):
            with self.subTest(name):
                path = os.path.join(self.checkpoint, name)
                whole = read(path)
                for place in (0, len(whole) // 2, len(whole) - 1):
                    write(path, whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1:])
                    self.refused(4, "evaluate", self.copy, says=[name, self.checkpoint])
                write(path, whole)
        self.elbo("evaluate", self.copy, "--limit", "10")

    def test_truncated_missing_and_foreign_files_are_named(self):
        path = os.path.join(self.checkpoint, "state.json")
        write(path, read(path)[:40])
        self.refused_by_all("state.json")
        os.remove(path)
        self.refused_by_all("state.json")

    def test_a_lost_list_of_checksums(self):
        os.remove(os.path.join(self.checkpoint, "SHA256SUMS"))
        self.refused_by_all("SHA256SUMS")

    def test_lying_checksums_do_not_let_hostile_files_through(self):
        import hashlib
        for name, content in (("model.safetensors", b"\xff" * 64), ("state.json", b"[" * 100000), ("config.yaml", b"name: [1, 2"),
                              ("state.json", b'{"format_version": 99}')):
            with self.subTest(name):
                whole = read(os.path.join(self.checkpoint, name))
                sums = read(os.path.join(self.checkpoint, "SHA256SUMS"))
                write(os.path.join(self.checkpoint, name), content)
                write(os.path.join(self.checkpoint, "SHA256SUMS"), sums.replace(hashlib.sha256(whole).hexdigest().encode(),
                                                                                hashlib.sha256(content).hexdigest().encode()))
                result = self.elbo("evaluate", self.copy, check_code=None)
                self.assertIn(result.code, (2, 4), result)
                self.assertEqual(len(result.errors), 1, result)
                self.assertIn(name, result.err)
                write(os.path.join(self.checkpoint, name), whole)
                write(os.path.join(self.checkpoint, "SHA256SUMS"), sums)

    def test_the_other_checkpoints_are_offered(self):
        write(os.path.join(self.checkpoint, "model.safetensors"), b"")
        self.refused(4, "evaluate", self.copy, says="others here: step-")

    def test_what_is_no_run(self):
        os.mkdir(self.path("empty"))
        for path in (self.path("none"), self.path("empty"), os.path.join(self.copy, "config.yaml")):
            with self.subTest(path):
                self.refused(4, "evaluate", path, says=path)


if __name__ == "__main__":
    main()
