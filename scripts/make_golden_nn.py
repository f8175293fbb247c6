#!/usr/bin/env python3
"""Writes tests/golden/nn.h: outputs of the mlp and conv networks as plain PyTorch computes them, in float64.

Weights and inputs are sine waves that the test writes too: element j of the i-th parameter is 0.4 sin(1.7 j + i).
"""

import pathlib

import torch
from torch import nn

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

lines = [
    "#pragma once",
    "// Written by scripts/make_golden_nn.py. Don't edit.",
    "#include <vector>",
    "",
    "namespace elbo::golden {",
]
for name, (module, shape) in cases.items():
    output = fill(module)(wavy(shape, 0.5)).flatten().tolist()
    lines += ["", f"inline const std::vector<double> {name} = {{"]
    lines += ["    " + ", ".join(repr(value) for value in output[i : i + 4]) + "," for i in range(0, len(output), 4)]
    lines += ["};"]
lines += ["", "}  // namespace elbo::golden", ""]
target = pathlib.Path(__file__).resolve().parent.parent / "tests/golden/nn.h"
target.write_text("\n".join(lines))
print(target)
