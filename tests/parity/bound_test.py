"""A bound of the program recomputed in plain PyTorch from its files: names, shapes, formulas and units agree. Needs torch, numpy."""
import json
import os
import re
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
from support import SMALL, SOURCE, CliTest, main  # noqa: E402

try:
    import numpy as np
    import torch
    from read_files import parameter_table, pattern_of, safetensors
except ImportError as error:
    torch, reason = None, str(error)

NAMES = os.path.join(SOURCE, "docs", "parameter_names.md")

# Averaged weights, two layers, a learned prior: what a reader must get right.
MLP = SMALL.replace("hidden: [24]", "hidden: [32, 24]").replace("training: {", "training: {weight_average: 0.9, ")
CONV = SMALL.replace("{type: mlp, hidden: [24], activation: tanh}", "{type: conv, channels: [4, 8], hidden: 16}").replace(
    "objective: {type: elbo}", "objective: {type: elbo, kl: monte_carlo}").replace(
        "latent_size: 4", "latent_size: 4\n  prior: {type: mixture, components: 3}")
LOG_VAR_MIN, LOG_VAR_MAX = -10.0, 10.0


class MlpVae:
    """Kingma & Welling 2014 with the network of MLP, float64."""

    def __init__(self, tensors):
        self.tensors = {name: torch.from_numpy(value.copy()).double() for name, value in tensors.items()}

    def linear(self, name, x):
        return torch.nn.functional.linear(x, self.tensors[name + ".weight"], self.tensors[name + ".bias"])

    def layers(self, name, x):
        for i in range(sum(key.startswith(name + ".layers.") and key.endswith(".weight") for key in self.tensors)):
            x = torch.tanh(self.linear(f"{name}.layers.{i}", x))
        return x

    def posterior(self, x):
        """Mean and variance of q(z | x)."""
        softplus = torch.nn.functional.softplus
        features = self.layers("encoder", x.flatten(1))
        raw = self.linear("posterior.log_var", features)
        log_var = LOG_VAR_MAX - softplus(LOG_VAR_MAX - (LOG_VAR_MIN + softplus(raw - LOG_VAR_MIN)))
        return self.linear("posterior.mean", features), log_var.exp()

    def elbo(self, x, noise):
        """Nats an example, with one sample z = mean + std * noise and the KL in closed form."""
        mean, variance = self.posterior(x)
        logits = self.linear("decoder.output", self.layers("decoder", mean + variance.sqrt() * noise))
        log_likelihood = torch.distributions.Bernoulli(logits=logits).log_prob(x.flatten(1)).sum(1)
        q = torch.distributions.Normal(mean, variance.sqrt())
        kl = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).sum(1)
        return log_likelihood - kl


@unittest.skipIf(torch is None, "torch or numpy is missing for this Python")
class Bound(CliTest):
    def trained(self, text=MLP, run="run"):
        run = self.train(run, config=self.small(text, f"{run}.yaml"))
        checkpoints = os.path.join(run, "checkpoints")
        return run, safetensors(os.path.join(checkpoints, "best", "model.safetensors"))

    def test_the_elbo_agrees_with_plain_pytorch(self):
        run, tensors = self.trained()
        self.elbo("reconstruct", run, "--split", "test", "--count", "1000", "--out", "data.npz")
        result = self.elbo("evaluate", run, "--metrics", "elbo", "--save-noise", "noise.npz", "--per-example", "rows.npz", "--json", "-",
                           "--quiet")
        metrics = json.loads(result.out)["metrics"]
        data, rows = np.load(self.path("data.npz")), np.load(self.path("rows.npz"))
        x = torch.from_numpy(data["x"]).double()
        noise = torch.from_numpy(np.load(self.path("noise.npz"))["noise_0"]).double()
        self.assertEqual((tuple(x.shape), tuple(noise.shape)), ((180, 1, 8, 8), (180, 4)))
        self.assertEqual(set(np.unique(data["x"])), {0.0, 1.0})
        vae = MlpVae(tensors)

        own = vae.elbo(x, noise)
        self.assertLess(abs(own.mean().item() / metrics["elbo_nats"] - 1), 1e-5)
        np.testing.assert_allclose(own.numpy(), rows["elbo_nats"], rtol=1e-5)
        self.assertAlmostEqual(own.std(unbiased=True).item() / 180**0.5, metrics["elbo_standard_error_nats"], places=4)

        # The noise is what a standard normal's should be, and other noise gives another number within its error.
        self.assertLess(abs(noise.mean().item()), 4 / noise.numel()**0.5)
        self.assertLess(abs(noise.var().item() - 1), 4 * (2 / noise.numel())**0.5)
        torch.manual_seed(0)
        fresh = torch.stack([vae.elbo(x, torch.randn_like(noise)) for _ in range(20)])
        error = fresh.std(0).square().mean().sqrt().item() / 180**0.5  # of one pass over the rows, data fixed
        self.assertLess(abs(fresh.mean().item() - metrics["elbo_nats"]), 4 * error)
        self.assertLess(abs(fresh.mean().item() - metrics["elbo_nats"]), 4 * metrics["elbo_standard_error_nats"])

        reconstruction = torch.sigmoid(vae.linear("decoder.output", vae.layers("decoder", vae.posterior(x)[0])))
        np.testing.assert_allclose(reconstruction.numpy(), data["reconstruction"].reshape(180, 64), atol=1e-5)

    def test_files_hold_what_the_table_of_names_says(self):
        table = parameter_table(NAMES)
        self.assertEqual(sorted(table), ["decoder conv", "decoder mlp", "decoder residual_conv", "encoder conv", "encoder mlp",
                                         "encoder residual_conv", "head vq_vae", "posterior normal", "prior mixture",
                                         "quantizer sim_vq", "quantizer vq"])
        for text, run, components in ((MLP, "mlp", ("encoder mlp", "posterior normal", "decoder mlp")),
                                      (CONV, "conv", ("encoder conv", "posterior normal", "prior mixture", "decoder conv"))):
            with self.subTest(run):
                _, tensors = self.trained(text, run)
                rows = [row for component in components for row in table[component]]
                for name, tensor in tensors.items():
                    matches = [shape for pattern, shape in rows if re.fullmatch(pattern_of(pattern), name)]
                    self.assertEqual(len(matches), 1, name)
                    self.assertEqual(tensor.ndim, len(matches[0]), name)
                    for extent, word in zip(tensor.shape, matches[0]):
                        known = {"D": 4, "S": 3, "4": 4, "F": 24 if run == "mlp" else 16, "hidden": 16}
                        self.assertEqual(extent, known.get(word, extent), f"{name}: {word}")
                for pattern, _ in rows:
                    self.assertTrue(any(re.fullmatch(pattern_of(pattern), name) for name in tensors), pattern)

    def test_pytorch_modules_take_the_weights_by_name(self):
        _, tensors = self.trained(CONV, "conv")
        encoder = torch.nn.ModuleDict({
            "convs": torch.nn.ModuleList([torch.nn.Conv2d(1, 4, 4, 2, 1), torch.nn.Conv2d(4, 8, 4, 2, 1)]),
            "layers": torch.nn.ModuleList([torch.nn.Linear(8 * 2 * 2, 16)])})
        decoder = torch.nn.ModuleDict({
            "layers": torch.nn.ModuleList([torch.nn.Linear(4, 16), torch.nn.Linear(16, 8 * 2 * 2)]),
            "convs": torch.nn.ModuleList([torch.nn.ConvTranspose2d(8, 4, 4, 2, 1)]),
            "output": torch.nn.ConvTranspose2d(4, 1, 4, 2, 1)})
        for prefix, module in (("encoder.", encoder), ("decoder.", decoder)):
            module.load_state_dict({name.removeprefix(prefix): torch.from_numpy(value.copy())
                                    for name, value in tensors.items() if name.startswith(prefix)})
        self.elbo("reconstruct", self.path("conv"), "--count", "50", "--out", "data.npz")
        data = np.load(self.path("data.npz"))
        with torch.no_grad():
            h = torch.from_numpy(data["x"])
            for conv in encoder["convs"]:
                h = torch.relu(conv(h))
            h = torch.relu(encoder["layers"][0](h.flatten(1)))
            h = torch.nn.functional.linear(h, torch.from_numpy(tensors["posterior.mean.weight"].copy()),
                                           torch.from_numpy(tensors["posterior.mean.bias"].copy()))
            for layer in decoder["layers"]:
                h = torch.relu(layer(h))
            h = h.reshape(-1, 8, 2, 2)
            for conv in decoder["convs"]:
                h = torch.relu(conv(h))
            h = torch.sigmoid(decoder["output"](h))
        np.testing.assert_allclose(h.numpy(), data["reconstruction"], atol=1e-5)


if __name__ == "__main__":
    main()
