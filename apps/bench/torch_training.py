"""The peer of apps/bench/training.cpp: the same models as a good PyTorch loop would train them (tensor slicing, fused Adam, channels last
for convolutions, nothing read back inside the loop). Usage: torch_training.py CASE DATA_ROOT THREADS [DEVICE]; the same protocol.
On CUDA the data lies on the device, products may round to TF32 as convolutions do by default, and nothing is read back inside the loop."""
import math
import os
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

LOG_TWO_PI = math.log(2 * math.pi)


class Vae(nn.Module):
    """784-400-20, Bernoulli pixels, closed-form KL."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(784, 400), nn.ReLU())
        self.mean, self.log_var = nn.Linear(400, 20), nn.Linear(400, 20)
        self.decoder = nn.Sequential(nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784))

    def forward(self, x):
        h = self.encoder(x)
        mean, log_var = self.mean(h), self.log_var(h)
        z = mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)
        reconstruction = F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum")
        kl = 0.5 * torch.sum(mean.square() + log_var.exp() - log_var - 1)
        return (reconstruction + kl) / x.shape[0]


class Iwae(nn.Module):
    """784-200-200-50, Bernoulli pixels, K samples."""

    def __init__(self, samples=50):
        super().__init__()
        self.samples = samples
        self.encoder = nn.Sequential(nn.Linear(784, 200), nn.Tanh(), nn.Linear(200, 200), nn.Tanh())
        self.mean, self.log_var = nn.Linear(200, 50), nn.Linear(200, 50)
        self.decoder = nn.Sequential(nn.Linear(50, 200), nn.Tanh(), nn.Linear(200, 200), nn.Tanh(), nn.Linear(200, 784))

    def forward(self, x):
        h = self.encoder(x)
        mean, log_var = self.mean(h), self.log_var(h)
        noise = torch.randn(self.samples, *mean.shape, device=mean.device)
        z = mean + torch.exp(0.5 * log_var) * noise
        logits = self.decoder(z)
        log_likelihood = -F.binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none").sum(-1)
        log_prior = -0.5 * (z.square() + LOG_TWO_PI).sum(-1)
        log_posterior = -0.5 * (noise.square() + log_var + LOG_TWO_PI).sum(-1)
        log_weight = log_likelihood + log_prior - log_posterior
        return -(torch.logsumexp(log_weight, 0) - math.log(self.samples)).mean()


class ConvVae(nn.Module):
    """3x64x64, four halvings, normal pixels of scale 0.1."""

    def __init__(self, channels=(32, 64, 128, 256), hidden=256, latent_size=32):
        super().__init__()
        down, up = [], []
        for first, second in zip((3, *channels), channels):
            down += [nn.Conv2d(first, second, 4, 2, 1), nn.ReLU()]
        for first, second in zip(reversed(channels), (*reversed(channels[:-1]), 3)):
            up += [nn.ConvTranspose2d(first, second, 4, 2, 1), nn.ReLU()]
        inner = channels[-1] * 4 * 4
        self.encoder = nn.Sequential(*down, nn.Flatten(), nn.Linear(inner, hidden), nn.ReLU())
        self.mean, self.log_var = nn.Linear(hidden, latent_size), nn.Linear(hidden, latent_size)
        self.decoder = nn.Sequential(nn.Linear(latent_size, hidden), nn.ReLU(), nn.Linear(hidden, inner), nn.ReLU(),
                                     nn.Unflatten(1, (channels[-1], 4, 4)), *up[:-1], nn.Sigmoid())

    def forward(self, x):
        h = self.encoder(x)
        mean, log_var = self.mean(h), self.log_var(h)
        z = mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)
        reconstruction = 50 * F.mse_loss(self.decoder(z), x, reduction="sum")
        kl = 0.5 * torch.sum(mean.square() + log_var.exp() - log_var - 1)
        return (reconstruction + kl) / x.shape[0]


class ResidualBlock(nn.Module):
    def __init__(self, channels, inner):
        super().__init__()
        self.layers = nn.Sequential(nn.ReLU(), nn.Conv2d(channels, inner, 3, 1, 1), nn.ReLU(), nn.Conv2d(inner, channels, 1))

    def forward(self, x):
        return x + self.layers(x)


class VqVae(nn.Module):
    """3x32x32 to 8x8 of 512 codes, normal pixels of scale 0.1; the codebook is vector-quantize-pytorch's, of moving averages."""

    def __init__(self, channels=128, inner=32, codes=512, code_size=64):
        from vector_quantize_pytorch import VectorQuantize
        super().__init__()
        half = channels // 2
        self.encoder = nn.Sequential(nn.Conv2d(3, half, 4, 2, 1), nn.ReLU(), nn.Conv2d(half, channels, 4, 2, 1), nn.ReLU(),
                                     nn.Conv2d(channels, channels, 3, 1, 1), ResidualBlock(channels, inner),
                                     ResidualBlock(channels, inner), nn.ReLU(), nn.Conv2d(channels, code_size, 1))
        self.quantizer = VectorQuantize(dim=code_size, codebook_size=codes, decay=0.99, commitment_weight=1.0,
                                        accept_image_fmap=True, rotation_trick=False)
        self.decoder = nn.Sequential(nn.Conv2d(code_size, channels, 3, 1, 1), ResidualBlock(channels, inner),
                                     ResidualBlock(channels, inner), nn.ReLU(), nn.ConvTranspose2d(channels, half, 4, 2, 1),
                                     nn.ReLU(), nn.ConvTranspose2d(half, 3, 4, 2, 1))

    def forward(self, x):
        tokens = self.encoder(x)
        values, _, commitment = self.quantizer(tokens)
        reconstruction = 50 * F.mse_loss(self.decoder(values), x, reduction="sum")
        return reconstruction / x.shape[0] + 0.25 * tokens[0].numel() * commitment.sum()


def binary(root):
    return torch.from_numpy(np.load(os.path.join(root, "grey.npz"))["x"]).flatten(1).float().div_(255).ge(0.5).float()


def colour(root, name="colour.npz"):
    return torch.from_numpy(np.load(os.path.join(root, name))["x"]).float().div_(255)


CASES = {"vae": (Vae, binary, 128), "iwae": (Iwae, binary, 20), "conv_vae": (ConvVae, colour, 64),
         "vq_vae": (VqVae, lambda root: colour(root, "colour32.npz"), 64)}


def write_data(root):
    random = np.random.default_rng(1)
    np.savez(os.path.join(root, "grey.npz"), x=random.integers(0, 256, (20000, 1, 28, 28), dtype=np.uint8))
    np.savez(os.path.join(root, "colour.npz"), x=random.integers(0, 256, (4000, 3, 64, 64), dtype=np.uint8))
    np.savez(os.path.join(root, "colour32.npz"), x=random.integers(0, 256, (10000, 3, 32, 32), dtype=np.uint8))


def peak_megabytes():
    with open("/proc/self/status") as status:
        return next(float(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM:"))


def main():
    if sys.argv[1] == "write_data":
        return write_data(sys.argv[2])
    case, root, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    channels_last = case in ("conv_vae", "vq_vae") and os.environ.get("BENCH_CHANNELS_LAST", "1") == "1"
    device = sys.argv[4] if len(sys.argv) > 4 else "cpu"
    torch.set_num_threads(threads)
    torch.backends.cuda.matmul.allow_tf32 = True
    make, read, batch_size = CASES[case]
    x = read(root)
    x = x[: len(x) * 8 // 10]  # as many rows as the other side trains on
    model, x = make().to(device), x.to(device)
    if channels_last:
        model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    steps_per_epoch = len(x) // batch_size
    done, order = 0, None

    def step():
        nonlocal done, order
        place = done % steps_per_epoch
        if place == 0:
            order = torch.randperm(len(x), device=device)
        loss = model(x[order[place * batch_size:(place + 1) * batch_size]])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        done += 1

    step()
    print("ready", flush=True)
    for line in sys.stdin:
        if line.strip() == "memory":
            print(peak_megabytes(), flush=True)
            continue
        start = time.perf_counter()
        for _ in range(int(line)):
            step()
        if device != "cpu":
            torch.cuda.synchronize()
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
