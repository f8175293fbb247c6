"""A second stage: a prior over the codes of a finished run, which stands alone when that run is gone."""
import json
import os
import shutil

from support import CliTest, is_png, last_checkpoint, main, read, write
from quantized_test import CONFIG as BASE

PRIOR = """\
name: test/prior
seed: 5
base: {run: base}
data: {type: digits, batch_size: 100}
model:
  type: code_prior
  prior: {type: transformer, width: 16, layers: 1, heads: 2}
  condition: label
objective: {type: nll}
optimizer: {type: adam, learning_rate: 1e-2}
training: {epochs: 6}
"""


class Stages(CliTest):
    def setUp(self):
        super().setUp()
        self.elbo("train", write(self.path("vq.yaml"), BASE), "--run", "base", "--quiet")

    def prior(self, name="prior", *more, config=PRIOR):
        self.elbo("train", write(self.path(name + ".yaml"), config), "--run", name, "--quiet", *more)
        return self.path(name)

    def measured(self, run):
        return json.loads(self.elbo("evaluate", run, "--json", "-", "--quiet").out)["metrics"]

    def test_the_prior_stands_alone_and_knows_more_than_chance(self):
        run = self.prior()
        before = self.measured("base")
        shutil.rmtree(self.path("base"))
        after = self.measured(run)
        self.assertEqual(after["nominal_rate_bits"], 16)
        self.assertLess(after["code_rate_bits"], after["entropy_rate_bits"])
        self.assertAlmostEqual(after["code_rate_bits"], -after["bound_nats"] / 0.6931471805599453, places=4)
        self.assertAlmostEqual(after["code_rate_share"], after["code_rate_bits"] / 16, places=9)
        self.assertAlmostEqual(after["code_rate_bits_per_code"], after["code_rate_bits"] / 4, places=9)
        saved = before["bound_bits_per_dim"] - after["bound_bits_per_dim"]
        self.assertAlmostEqual(saved, (16 - after["code_rate_bits"]) / 64, places=4)
        for name in ("psnr_db", "reconstruction_error", "code_perplexity"):
            self.assertEqual(after[name], before[name])

        self.elbo("sample", run, "--out", "a.npz", "--given", "label=1,7", "--count", "8", "--top-k", "5", "--temperature", "0.8")
        self.elbo("sample", run, "--out", "s.png")
        self.elbo("reconstruct", run, "--out", "r.png")
        self.elbo("report", run, "--out", "report.html")
        self.elbo("info", run)
        self.assertTrue(is_png(self.path("s.png")) and is_png(self.path("r.png")))

    def test_samples_show_the_class_that_is_asked_for(self):
        """By the nearest of the classes' means: of the reconstructions 63 %, of samples whose class nobody asked for 10 %."""
        from compress_test import array_of  # which takes PRIOR from here
        base = BASE.replace("codes: 16", "codes: 64").replace("epochs: 3", "epochs: 20")
        self.elbo("train", write(self.path("more.yaml"), base), "--run", "more", "--quiet")
        run = self.prior(config=PRIOR.replace("run: base", "run: more").replace("width: 16", "width: 32").replace("epochs: 6", "epochs: 25"))
        self.elbo("reconstruct", "more", "--split", "train", "--count", "10000", "--out", "train.npz")

        def pictures(name):
            _, x = array_of(self.path(name), "x")
            return list(zip(array_of(self.path(name), "label")[1], (x[at:at + 64] for at in range(0, len(x), 64))))
        classes = {}
        for label, picture in pictures("train.npz"):
            classes.setdefault(label, []).append(picture)
        means = {label: [sum(pixel) / len(rows) for pixel in zip(*rows)] for label, rows in classes.items()}

        def shown(picture):
            return min(means, key=lambda label: sum((a - b) ** 2 for a, b in zip(picture, means[label])))
        self.elbo("sample", run, "--count", "300", "--out", "drawn.npz")
        drawn = pictures("drawn.npz")
        self.assertEqual([label for label, _ in drawn[:12]], [*range(10), 0, 1])
        self.assertGreater(sum(shown(picture) == label for label, picture in drawn), 0.4 * 300)
        self.assertGreater(len({picture for label, picture in drawn if label == 3}), 10)

        # The likeliest codes alone: a picture a class, and what one code, or none of the probability, leaves over.
        self.elbo("sample", run, "--count", "20", "--temperature", "0", "--out", "greedy.npz")
        greedy = pictures("greedy.npz")
        self.assertEqual(greedy[:10], greedy[10:])
        self.assertGreater(len({picture for _, picture in greedy}), 5)
        for option in (("--top-k", "1"), ("--top-p", "1e-9")):
            self.elbo("sample", run, "--count", "20", *option, "--out", "one.npz")
            self.assertEqual(pictures("one.npz"), greedy)
        self.elbo("sample", run, "--count", "300", "--out", "again.npz")
        self.assertEqual(pictures("again.npz"), drawn)
        self.elbo("sample", run, "--count", "300", "--seed", "1", "--out", "other.npz")
        self.assertNotEqual(pictures("other.npz"), drawn)

    def test_it_goes_on_without_its_base_bit_for_bit(self):
        whole = self.prior("whole")
        self.prior("part", "--set", "training.epochs=2")
        shutil.rmtree(self.path("base"))
        os.remove(os.path.join(self.path("part"), "checkpoints", "last"))  # killed before the first link was made
        os.remove(os.path.join(self.path("part"), "checkpoints", "best"))
        part = self.prior("part", "--resume")
        for name in ("model.safetensors", "training.safetensors"):
            self.assertEqual(read(os.path.join(last_checkpoint(part), name)), read(os.path.join(last_checkpoint(whole), name)))

    def test_a_stage_on_a_stage_stands_alone(self):
        """A prior over the codes of a prior's base: the prior between them changes nothing, and both may go."""
        direct = self.measured(self.prior("direct"))
        self.prior("between", config=PRIOR.replace("seed: 5", "seed: 6").replace("epochs: 6", "epochs: 1"))
        over = PRIOR.replace("run: base", "run: between")
        whole = self.prior("whole", config=over)
        self.prior("part", "--set", "training.epochs=2", config=over)
        shutil.rmtree(self.path("base"))
        shutil.rmtree(self.path("between"))
        part = self.prior("part", "--resume", config=over)
        for name in ("model.safetensors", "training.safetensors"):
            self.assertEqual(read(os.path.join(last_checkpoint(part), name)), read(os.path.join(last_checkpoint(whole), name)))
        self.assertEqual(self.measured(whole), direct)
        self.elbo("sample", whole, "--out", "s.png", "--given", "label=3")
        self.elbo("reconstruct", whole, "--out", "r.png")
        told = self.elbo("info", whole).out
        self.assertRegex(told, "builds on +between, ")
        self.assertRegex(told, "builds on +base, ")
        self.elbo("compress", whole, "split:test", "--limit", "2", "--prior", "uniform", "--out", "a.elbo")
        self.elbo("decompress", "direct", "a.elbo", "--out", "a.npz")

    def test_weights_over_another_base_are_not_imported(self):
        run = self.prior("prior", "--set", "training.epochs=1")
        self.elbo("train", self.path("vq.yaml"), "--run", "other", "--quiet", "--set", "seed=4", "--set", "training.epochs=1")
        weights = os.path.join(last_checkpoint(run), "model.safetensors")
        self.refused(4, "import", self.path("prior.yaml"), weights, "--run", "bad", "--set", "base.run=other", says=("its base.", "set base.run"))
        self.assertFalse(os.path.exists(self.path("bad")))
        self.elbo("import", self.path("prior.yaml"), weights, "--run", "good")

    def test_a_folder_of_runs_means_the_newest(self):
        os.makedirs(self.path("runs"))
        os.rename(self.path("base"), self.path("runs", "20260101T000000Z"))
        self.prior(config=PRIOR.replace("run: base", "run: runs"))

    def test_what_does_not_fit_is_refused(self):
        bad = {
            "there is no 'nothing'; train the base first": PRIOR.replace("run: base", "run: nothing"),
            "name its run, base": PRIOR.replace("base: {run: base}\n", ""),
            "x is binary of shape": PRIOR.replace("{type: digits, ", "{type: digits, binarize: threshold, "),
            "no field 'kind'": PRIOR.replace("condition: label", "condition: kind"),
            "builds on no other run": BASE.replace("seed: 3\n", "seed: 3\nbase: {run: base}\n"),
            "needs a variational model; model 'code_prior' (line 6) is code_prior":
                PRIOR.replace("objective: {type: nll}", "objective: {type: elbo}"),
            "needs a quantized model; model 'code_prior' (line 6) is code_prior":
                PRIOR.replace("objective: {type: nll}", "objective: {type: vq}"),
        }
        for says, config in bad.items():
            with self.subTest(says):
                self.refused(2, "train", write(self.path("bad.yaml"), config), "--run", "bad", says=says)
                self.assertFalse(os.path.exists(self.path("bad")))
        self.refused(1, "sample", "base", "--top-k", "3", says="only a prior over codes")
        self.refused(2, "train", write(self.path("prior.yaml"), PRIOR), "--run", "base", "--resume", says="this run was started with another config")
        step = os.path.basename(last_checkpoint(self.path("base")))
        for code, says, base in ((2, "base.checkpoint: got 'step-1', and base has best, last, step-", "{run: base, checkpoint: step-1}"),
                                 (2, "base.checkpoint: got '../../x'", "{run: base, checkpoint: ../../x}"),
                                 (2, "is a checkpoint already", f"{{run: base/checkpoints/{step}, checkpoint: last}}"),
                                 (4, "base.run: vq.yaml: expected the folder of a run", "{run: vq.yaml}")):
            with self.subTest(base):
                self.refused(code, "train", write(self.path("bad.yaml"), PRIOR.replace("{run: base}", base)), "--run", "bad", says=says)

    def test_what_fails_at_once_leaves_no_run_folder(self):
        config = write(self.path("p.yaml"), PRIOR)
        self.refused(1, "train", config, "--run", "bad", "--quiet", "--set", "evaluation.metrics=[log_likelihood]", says="needs a variational model")
        self.assertFalse(os.path.exists(self.path("bad")))

    def test_another_config_is_told_before_the_weights_are_read(self):
        run = self.prior()
        self.refused(2, "train", self.path("prior.yaml"), "--run", run, "--resume", "--set", "model.prior.width=8",
                     says=("this run was started with another config", "model.prior.width: 16, now 8"))

    def test_what_it_builds_on_is_told(self):
        result = self.elbo("train", write(self.path("p.yaml"), PRIOR), "--run", "told", "--set", "training.epochs=1")
        self.assertIn(f"base base, {os.path.basename(os.path.realpath(self.path('base', 'checkpoints', 'best')))}", result.out + result.err)


if __name__ == "__main__":
    main()
