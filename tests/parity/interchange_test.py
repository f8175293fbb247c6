"""docs/python_interchange.py does what it says: weights go from the program to PyTorch and back. Needs torch, numpy."""
import json
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
from support import SMALL, SOURCE, CliTest, main, tensors_of  # noqa: E402

SCRIPT = os.path.join(SOURCE, "docs", "python_interchange.py")
sys.path.insert(0, os.path.dirname(SCRIPT))
try:
    import numpy as np
    import torch
    import python_interchange as interchange
except ImportError:
    torch = None

CONFIG = SMALL.replace("hidden: [24]", "hidden: [32]").replace("binarize: dynamic", "binarize: threshold")


@unittest.skipIf(torch is None, "torch or numpy is missing for this Python")
class Interchange(CliTest):
    def script(self, *words):
        return subprocess.run([sys.executable, SCRIPT, *words], cwd=self.folder, check=True, capture_output=True, text=True).stdout

    def imported(self, file, *words, **options):
        return self.elbo("import", self.small(CONFIG), file, "--run", "imported", *words, **options)

    def evaluated(self, run, noise="noise.npz"):
        return json.loads(self.elbo("evaluate", run, "--metrics", "elbo", "--save-noise", noise, "--json", "-", "--quiet").out)

    def rows(self, run):
        """The test rows as the program has them."""
        self.elbo("reconstruct", run, "--split", "test", "--count", "1000", "--out", "data.npz")
        return torch.from_numpy(np.load(self.path("data.npz"))["x"]).flatten(1)

    def test_pytorch_trains_and_the_program_evaluates(self):
        self.train("run", config=self.small(CONFIG))
        rows = self.rows("run")
        self.assertIn("weights in py.safetensors", self.script("train", "data.npz", "py.safetensors"))
        self.assertIn("10 tensors in imported", self.imported("py.safetensors").err)
        own = self.evaluated("imported")["metrics"]["elbo_nats"]
        vae = interchange.vae_of(interchange.read_safetensors(self.path("py.safetensors")))
        noise = torch.from_numpy(np.load(self.path("noise.npz"))["noise_0"])
        with torch.no_grad():
            theirs = vae.elbo(rows, noise).mean().item()
        self.assertLess(abs(own / theirs - 1), 1e-5)
        self.assertGreater(theirs, -40)  # it learnt something: fair coins have -44
        # It is a run like any other: sampled from, told about, continued.
        self.elbo("sample", "imported", "--out", "samples.png")
        self.assertIn("step 0", self.elbo("info", "imported").out)
        self.elbo("train", self.small(CONFIG), "--run", "imported", "--resume", "--quiet")
        self.assertGreater(self.evaluated("imported")["metrics"]["elbo_nats"], own)

    def test_weights_survive_the_way_to_pytorch_and_back(self):
        run = self.train("run", config=self.small(CONFIG))
        model = os.path.join(run, "checkpoints", "best", "model.safetensors")
        self.assertIn("(posterior): Posterior", self.script("export", model))
        vae = interchange.vae_of(interchange.read_safetensors(model))
        interchange.write_safetensors(self.path("back.safetensors"), vae.state_dict())
        self.imported("back.safetensors")
        with open(model, "rb") as file:
            self.assertEqual(tensors_of(self.path("imported"))["model.safetensors"], file.read())
        self.assertEqual(self.evaluated("imported")["metrics"], self.evaluated(run)["metrics"])

    def test_what_does_not_fit_is_listed_and_nothing_is_made(self):
        vae = interchange.Vae(64, [32], 4)
        theirs = {name.replace("encoder.layers.0", "fc1"): tensor for name, tensor in vae.state_dict().items()}
        theirs["posterior.mean.weight"] = theirs["posterior.mean.weight"].T
        interchange.write_safetensors(self.path("theirs.safetensors"), theirs)
        result = self.refused(4, "import", self.small(CONFIG), "theirs.safetensors", "--run", "imported", says=[
            "missing: encoder.layers.0.weight (float32 [32, 64])", "unexpected: fc1.bias (float32 [32])",
            "misshapen: posterior.mean.weight is float32 [32, 4], expected float32 [4, 32]; its transpose would fit",
            "--rename fc1=encoder.layers.0"])
        self.assertNotIn("decoder", result.err)
        self.assertFalse(os.path.exists(self.path("imported")))
        theirs["posterior.mean.weight"] = theirs["posterior.mean.weight"].T
        interchange.write_safetensors(self.path("theirs.safetensors"), theirs)
        self.imported("theirs.safetensors", "--rename", "fc1=encoder.layers.0")
        self.refused(1, "import", self.small(CONFIG), "theirs.safetensors", "--run", "x", "--rename", "fc1", says="FROM=TO")
        self.refused(4, "import", self.small(CONFIG), "theirs.safetensors", "--run", "imported", "--rename", "fc1=encoder.layers.0",
                     says="imported")
        self.refused(1, "import", self.small(CONFIG), "theirs.safetensors", says="--run")

    def test_partial_says_what_it_left(self):
        vae = interchange.Vae(64, [32], 4)
        theirs = {name: tensor for name, tensor in vae.state_dict().items() if name.startswith("encoder.")}
        theirs["extra"] = torch.zeros(2)
        interchange.write_safetensors(self.path("theirs.safetensors"), theirs)
        err = self.imported("theirs.safetensors", "--partial").err
        self.assertIn("not in the file, initialised afresh: decoder.layers.0.bias", err)
        self.assertIn("left out: extra", err)


if __name__ == "__main__":
    main()
