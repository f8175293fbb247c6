#!/usr/bin/env python3
"""Weights between elbo and PyTorch, both ways. Needs torch; the safetensors format is written out below, without a package.

    python_interchange.py export RUN/checkpoints/best/model.safetensors    # elbo -> PyTorch: prints what the modules took
    python_interchange.py train DATA.npz FILE.safetensors                  # PyTorch -> elbo: trains a VAE on array x, writes its weights

The second one's file becomes a run by

    elbo import vae.yaml FILE.safetensors --run runs/imported
"""
import json
import struct
import sys

import numpy as np
import torch

# ---- the format: 8 bytes of length, a JSON header, the tensors' bytes (https://huggingface.co/docs/safetensors) ----

TYPES = {"F64": "<f8", "F32": "<f4", "I64": "<i8"}


def read_safetensors(path):
    """Tensors by name."""
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        body = file.read()
    header.pop("__metadata__", None)
    return {name: torch.from_numpy(np.frombuffer(body[slice(*info["data_offsets"])], TYPES[info["dtype"]])
                                   .reshape(info["shape"]).copy()) for name, info in header.items()}


def write_safetensors(path, tensors):
    """float32, by name; `model.state_dict()` is such a dictionary. The same as safetensors.torch.save_file."""
    header, body = {}, b""
    for name, tensor in tensors.items():
        raw = tensor.detach().cpu().float().contiguous().numpy().astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + body)


# ---- the model: modules whose paths are those of docs/parameter_names.md ----

class Mlp(torch.nn.Module):
    def __init__(self, widths, output=None):
        super().__init__()
        self.layers = torch.nn.ModuleList(torch.nn.Linear(a, b) for a, b in zip(widths, widths[1:]))
        if output is not None:
            self.output = torch.nn.Linear(widths[-1], output)

    def forward(self, h):
        for layer in self.layers:
            h = torch.tanh(layer(h))
        return self.output(h) if hasattr(self, "output") else h


class Posterior(torch.nn.Module):
    """The log-variance is clamped softly, as elbo does."""

    def __init__(self, num_features, latent_size, low=-10.0, high=10.0):
        super().__init__()
        self.mean = torch.nn.Linear(num_features, latent_size)
        self.log_var = torch.nn.Linear(num_features, latent_size)
        self.low, self.high = low, high

    def forward(self, features):
        softplus = torch.nn.functional.softplus
        raw = self.log_var(features)
        return self.mean(features), self.high - softplus(self.high - (self.low + softplus(raw - self.low)))


class Vae(torch.nn.Module):
    """model: {type: vae, encoder: {type: mlp, activation: tanh}, decoder: {type: mlp, activation: tanh}, likelihood: {type: bernoulli}}"""

    def __init__(self, data_size, hidden, latent_size):
        super().__init__()
        self.encoder = Mlp([data_size, *hidden])
        self.posterior = Posterior(hidden[-1], latent_size)
        self.decoder = Mlp([latent_size, *hidden], output=data_size)

    def elbo(self, x, noise):
        """Nats an example."""
        mean, log_var = self.posterior(self.encoder(x))
        logits = self.decoder(mean + (log_var / 2).exp() * noise)
        log_likelihood = -torch.nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)
        return log_likelihood - 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(1)


def vae_of(tensors):
    """elbo -> PyTorch: the modules' sizes from the tensors' shapes, then load_state_dict, which checks every name."""
    count = sum(name.startswith("encoder.layers.") and name.endswith(".weight") for name in tensors)
    widths = [tensors["encoder.layers.0.weight"].shape[1]] + [len(tensors[f"encoder.layers.{i}.bias"]) for i in range(count)]
    vae = Vae(widths[0], widths[1:], len(tensors["posterior.mean.bias"]))
    vae.load_state_dict(tensors)
    return vae


def trained(x, hidden=(32,), latent_size=4, epochs=5, seed=1):
    """PyTorch -> elbo: an ordinary loop on rows of zeros and ones."""
    torch.manual_seed(seed)
    vae = Vae(x.shape[1], list(hidden), latent_size)
    optimizer = torch.optim.Adam(vae.parameters(), lr=5e-3)
    for _ in range(epochs):
        for rows in x[torch.randperm(len(x))].split(100):
            optimizer.zero_grad()
            (-vae.elbo(rows, torch.randn(len(rows), latent_size)).mean()).backward()
            optimizer.step()
    return vae


def main(command, source, target=None):
    if command == "export":
        print(vae_of(read_safetensors(source)))
    else:
        x = torch.from_numpy(np.load(source)["x"]).float().flatten(1)
        write_safetensors(target, trained(x).state_dict())
        print(f"weights in {target}")


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4) or sys.argv[1] not in ("export", "train"):
        sys.exit(__doc__)
    main(*sys.argv[1:])
