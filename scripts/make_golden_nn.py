#!/usr/bin/env python3
"""Writes tests/golden/nn.h: outputs of layers and networks as plain PyTorch computes them, in float64.

Weights and inputs are sine waves that the test writes too: element j of the i-th parameter is 0.4 sin(1.7 j + i).
"""

import pathlib

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import spectral_norm, weight_norm

torch.set_default_dtype(torch.float64)


def wavy(shape, phase):
    return torch.sin(torch.arange(int(torch.Size(shape).numel())) * 1.7 + phase).view(shape)


def fill(module):
    with torch.no_grad():
        for i, parameter in enumerate(module.parameters()):
            parameter.copy_(0.4 * wavy(parameter.shape, i))
    return module


def conv(a, b):
    return nn.Conv2d(a, b, 4, stride=2, padding=1)


def deconv(a, b):
    return nn.ConvTranspose2d(a, b, 4, stride=2, padding=1)


cases = {
    # 1 x 2 x 2 -> 3 -> 2, tanh
    "kMlpEncoder": (nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2), nn.Tanh()), (2, 1, 2, 2)),
    # 2 -> 3 -> 1 x 2 x 2, silu
    "kMlpDecoder": (nn.Sequential(nn.Linear(2, 3), nn.SiLU(), nn.Linear(3, 4)), (2, 2)),
    # 1 x 8 x 8, channels 2 and 3, hidden 4, elu
    "kConvEncoder": (
        nn.Sequential(conv(1, 2), nn.ELU(), conv(2, 3), nn.ELU(), nn.Flatten(), nn.Linear(12, 4), nn.ELU()),
        (2, 1, 8, 8),
    ),
    # the same backwards from 2 latents
    "kConvDecoder": (
        nn.Sequential(
            nn.Linear(2, 4), nn.ELU(), nn.Linear(4, 12), nn.ELU(), nn.Unflatten(1, (3, 2, 2)), deconv(3, 2), nn.ELU(), deconv(2, 1)
        ),
        (1, 2),
    ),
}

class Dcgan:
    """Both halves for channels 2 and 3 on 1 x 4 x 4 from 2 latents; modules in the order in which the library registers them."""

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.convs = nn.ModuleList([conv(1, 2), nn.Conv2d(2, 3, 4, stride=2, padding=1, bias=False)])
            self.norms = nn.ModuleList([nn.Identity(), nn.BatchNorm2d(3)])

        def forward(self, x):
            for c, norm in zip(self.convs, self.norms):
                x = F.leaky_relu(norm(c(x)), 0.2)
            return x.flatten(1)

    class Decoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(2, 3, bias=False)])
            self.convs = nn.ModuleList([nn.ConvTranspose2d(3, 2, 4, stride=2, padding=1, bias=False)])
            self.norms = nn.ModuleList([nn.BatchNorm2d(3), nn.BatchNorm2d(2)])
            self.output = deconv(2, 1)

        def forward(self, z):
            h = F.relu(self.norms[0](self.layers[0](z).view(-1, 3, 1, 1)))
            return self.output(F.relu(self.norms[1](self.convs[0](h))))


class Block(nn.Module):
    def __init__(self, a, b, stride=1, scale=1):
        super().__init__()
        self.scale = scale
        self.norm1 = nn.BatchNorm2d(a)
        self.conv1 = nn.Conv2d(a, b, 3, stride=stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(b)
        self.conv2 = nn.Conv2d(b, b, 3, padding=1, bias=False)
        if stride != 1 or scale != 1 or a != b:
            self.shortcut = nn.Conv2d(a, b, 1, stride=stride, bias=False)

    def forward(self, x):
        h = F.elu(self.norm1(x))
        if self.scale != 1:
            h = F.interpolate(h, scale_factor=self.scale, mode="nearest")
        shortcut = self.shortcut(h) if hasattr(self, "shortcut") else x
        return shortcut + self.conv2(F.elu(self.norm2(self.conv1(h))))


class Resnet:
    """Channels 2 and 3, two blocks a stage, hidden 4, elu, on 1 x 4 x 4 from 2 latents."""

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Conv2d(1, 2, 3, padding=1, bias=False)
            self.blocks = nn.Sequential(Block(2, 2, stride=2), Block(2, 2), Block(2, 3, stride=2), Block(3, 3))
            self.norm = nn.BatchNorm2d(3)
            self.layers = nn.ModuleList([nn.Linear(3, 4)])

        def forward(self, x):
            return F.elu(self.layers[0](F.elu(self.norm(self.blocks(self.stem(x)))).flatten(1)))

    class Decoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(2, 4), nn.Linear(4, 3)])
            self.blocks = nn.Sequential(Block(3, 3, scale=2), Block(3, 3), Block(3, 2, scale=2), Block(2, 2))
            self.norm = nn.BatchNorm2d(2)
            self.output = nn.Conv2d(2, 1, 3, padding=1)

        def forward(self, z):
            h = self.layers[1](F.elu(self.layers[0](z))).view(-1, 3, 1, 1)
            return self.output(F.elu(self.norm(self.blocks(h))))


def conv64_encoder(kernel):
    padding = (kernel - 2) // 2
    return nn.Sequential(
        conv(1, 32), nn.ReLU(), conv(32, 32), nn.ReLU(),
        nn.Conv2d(32, 64, kernel, stride=2, padding=padding), nn.ReLU(),
        nn.Conv2d(64, 64, kernel, stride=2, padding=padding), nn.ReLU(),
        nn.Flatten(), nn.Linear(1024, 256), nn.ReLU(),
    )  # fmt: skip


conv64_decoder = nn.Sequential(
    nn.Linear(2, 256), nn.ReLU(), nn.Linear(256, 1024), nn.ReLU(), nn.Unflatten(1, (64, 4, 4)),
    deconv(64, 64), nn.ReLU(), deconv(64, 32), nn.ReLU(), deconv(32, 32), nn.ReLU(), deconv(32, 3),
)  # fmt: skip

layers = {
    "kLinear": (lambda: nn.Linear(3, 4), (2, 3), 0),
    "kConv": (lambda: nn.Conv2d(2, 3, 3, stride=2, padding=1), (1, 2, 4, 4), 0),
    "kTransposed": (lambda: deconv(2, 3), (1, 2, 4, 4), 1),
}


def outputs():
    """(name, tensor) of everything."""
    for name, (module, shape) in cases.items():
        yield name, fill(module)(wavy(shape, 0.5))
    yield "kConv64EncoderK2", fill(conv64_encoder(2))(wavy((1, 1, 64, 64), 0.5)).flatten()[::16]
    yield "kConv64EncoderK4", fill(conv64_encoder(4))(wavy((1, 1, 64, 64), 0.5)).flatten()[::16]
    yield "kConv64Decoder", fill(conv64_decoder)(wavy((1, 2), 0.5)).flatten()[::500]
    for name, (make, shape, dim) in layers.items():
        yield name, fill(make())(wavy(shape, 0.5))
        yield name + "WeightNorm", fill(weight_norm(make(), dim=dim))(wavy(shape, 0.5))
        module = fill(spectral_norm(make(), dim=dim))
        for buffer, phase in ((module.weight_u, 0.3), (module.weight_v, 0.6)):
            buffer.copy_(F.normalize(wavy(buffer.shape, phase), dim=0))
        yield name + "Spectral", module.eval()(wavy(shape, 0.5))
        yield name + "SpectralNext", module.train()(wavy(shape, 0.5))  # one power iteration, then its weight
    for name, module, shape in (("kBatchNorm2d", nn.BatchNorm2d(3), (2, 3, 2, 2)), ("kBatchNorm1d", nn.BatchNorm1d(3), (4, 3))):
        yield name + "Training", fill(module)(wavy(shape, 0.5))
        module(wavy(shape, 1.5))
        yield name + "Evaluation", module.eval()(wavy(shape, 2.5))
    for name, pair in (("kDcgan", Dcgan), ("kResnet", Resnet)):
        for half, shape in (("Encoder", (2, 1, 4, 4)), ("Decoder", (2, 2))):
            module = fill(getattr(pair, half)())
            yield f"{name}{half}Training", module(wavy(shape, 0.5))
            yield f"{name}{half}Evaluation", module.eval()(wavy(shape, 0.5))


lines = [
    "#pragma once",
    "// Written by scripts/make_golden_nn.py. Don't edit.",
    "#include <vector>",
    "",
    "namespace elbo::golden {",
]
for name, tensor in outputs():
    output = tensor.flatten().tolist()
    lines += ["", f"inline const std::vector<double> {name} = {{"]
    lines += ["    " + ", ".join(repr(value) for value in output[i : i + 4]) + "," for i in range(0, len(output), 4)]
    lines += ["};"]
lines += ["", "}  // namespace elbo::golden", ""]
target = pathlib.Path(__file__).resolve().parent.parent / "tests/golden/nn.h"
target.write_text("\n".join(lines))
print(target)
