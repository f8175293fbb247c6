"""From a file of numbers to a published one: a linear autoencoder trained through the command line must reach the exact maximum
of the evidence of probabilistic PCA with a fixed noise (Tipping & Bishop 1999), since its bound is tight there (Lucas et al. 2019).
ELBO_LINEAR_GAUSSIAN: small (seconds) or full. Needs numpy."""
import json
import os
import unittest

from support import CliTest, main, read

try:
    import numpy as np
except ImportError:
    np = None

FULL = os.environ.get("ELBO_LINEAR_GAUSSIAN", "small") == "full"
X, D, SIGMA = (12, 4, 0.3) if FULL else (6, 2, 0.5)
ROWS = 4000 if FULL else 1000
EPOCHS = 150 if FULL else 60
NATS_A_DIMENSION = 0.01

CONFIG = f"""\
name: test/linear_gaussian
data: {{type: npz, path: data.npz, batch_size: 100}}
model:
  type: vae
  latent_size: {D}
  encoder: {{type: mlp, hidden: []}}
  decoder: {{type: mlp, hidden: []}}
  likelihood: {{type: normal, scale: {SIGMA}}}
objective: {{type: elbo}}
optimizer: {{type: adam, learning_rate: {{type: cosine, from: 3e-2, to: 1e-5}}}}
training: {{epochs: {EPOCHS}, checkpoint: {{keep: 1000, every_epochs: 2}}}}
evaluation: {{metrics: [elbo], every_epochs: 10}}
"""


def safetensors(path):
    """float32 tensors by name."""
    raw = read(path)
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:8 + size])
    return {name: np.frombuffer(raw[8 + size + info["data_offsets"][0]:8 + size + info["data_offsets"][1]],
                                "<f4").reshape(info["shape"]).astype(float)
            for name, info in header.items() if name != "__metadata__"}


def log_normal(x, mean, covariance):
    centred = x - mean
    _, log_determinant = np.linalg.slogdet(covariance)
    return -0.5 * (np.einsum("ni,ni->n", centred @ np.linalg.inv(covariance), centred) + log_determinant +
                   x.shape[1] * np.log(2 * np.pi))


def best_fit(x):
    """Mean and covariance of the model of this family that gives the rows the highest evidence."""
    mean = x.mean(0)
    values, vectors = np.linalg.eigh(np.cov(x.T, bias=True))
    kept = np.argsort(values)[-D:]
    gain = np.maximum(values[kept] - SIGMA**2, 0)
    return mean, (vectors[:, kept] * gain) @ vectors[:, kept].T + SIGMA**2 * np.eye(x.shape[1])


@unittest.skipIf(np is None, "numpy is not installed for this Python")
class LinearGaussian(CliTest):
    def setUp(self):
        super().setUp()
        random = np.random.default_rng(5)
        weight = random.normal(size=(X, D)) * np.linspace(0.6, 1.6, D)
        z = random.normal(size=(2 * ROWS, D))
        rows = (z @ weight.T + random.normal(size=X) + SIGMA * random.normal(size=(2 * ROWS, X))).astype(np.float32)
        self.train_rows, self.test_rows = rows[:ROWS].astype(float), rows[ROWS:].astype(float)
        np.savez(self.path("data.npz"), x_train=rows[:ROWS], x_valid=rows[ROWS:ROWS + 100], x_test=rows[ROWS:])
        self.config = self.small(CONFIG)

    def evaluate(self, run, split, *args):
        return json.loads(self.elbo("evaluate", run, "--split", split, "--data-root", ".", "--json", "-", "--quiet", *args).out)["metrics"]

    def test_the_bound_reaches_the_exact_maximum_and_importance_sampling_the_exact_evidence(self):
        run = self.train("run", "--data-root", ".", config=self.config)
        last = os.path.join(run, "checkpoints", "last")

        # The maximum over all models of the family, for the rows that were trained on.
        mean, covariance = best_fit(self.train_rows)
        best = log_normal(self.train_rows, mean, covariance).mean()
        bound = self.evaluate(last, "train", "--metrics", "elbo")
        print(f"train: bound {bound['elbo_nats']:.4f} of at most {best:.4f} nats, {(best - bound['elbo_nats']) / X:.5f} a dimension")
        # Given the rows, only the bound's one sample is random: far less than its spread over rows.
        self.assertAlmostEqual(bound["elbo_nats"] / X, best / X, delta=NATS_A_DIMENSION)

        # The same model on rows it has not seen.
        unseen = log_normal(self.test_rows, mean, covariance).mean()
        bound = self.evaluate(last, "test", "--metrics", "elbo")
        self.assertAlmostEqual(bound["elbo_nats"] / X, unseen / X, delta=NATS_A_DIMENSION)

        # Early on q is wrong, and the bounds of Burda et al. 2016 climb to the evidence of the model as it stands.
        early = os.path.join(run, "checkpoints", f"step-{2 * ROWS // 100}")
        weights = safetensors(os.path.join(early, "model.safetensors"))
        W, b = weights["decoder.output.weight"], weights["decoder.output.bias"]
        rows = self.test_rows[:200]
        exact = log_normal(rows, b, W @ W.T + SIGMA**2 * np.eye(X)).mean()
        counts = (1, 4, 16, 64, 256, 1024, 4096) if FULL else (1, 4, 16, 64, 256, 1024)
        bounds = [self.evaluate(early, "test", "--limit", 200, "--metrics", "log_likelihood", "--samples", K)["log_likelihood_nats"]
                  for K in counts]
        print(f"early: exact {exact:.4f}, bounds of K = {counts}: {', '.join(f'{value:.4f}' for value in bounds)}")
        for lower, higher in zip(bounds, bounds[1:]):
            self.assertLessEqual(lower, higher + 0.005)
        self.assertGreater(exact - bounds[0], 0.1)
        self.assertAlmostEqual(bounds[-1], exact, delta=0.02)


if __name__ == "__main__":
    main()
