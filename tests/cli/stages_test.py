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

    def test_it_goes_on_without_its_base_bit_for_bit(self):
        whole = self.prior("whole")
        self.prior("part", "--set", "training.epochs=2")
        shutil.rmtree(self.path("base"))
        part = self.prior("part", "--resume")
        for name in ("model.safetensors", "training.safetensors"):
            self.assertEqual(read(os.path.join(last_checkpoint(part), name)), read(os.path.join(last_checkpoint(whole), name)))

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


if __name__ == "__main__":
    main()
