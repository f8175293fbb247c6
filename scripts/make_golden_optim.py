#!/usr/bin/env python3
"""Writes tests/golden/optim.h: trajectories of torch.optim's single-tensor optimisers (neither foreach nor fused).

Usage: scripts/make_golden_optim.py > tests/golden/optim.h
The gradient of element i at step t is curvature_i * p_i + sin(1.3 t + i), so that errors feed back into later steps.
"""
import math

import torch

START = [0.5, -1.25, 2.0, 0.0, 1e-3]
CURVATURE = [0.3, 1.0, 2.5, 0.01, 10.0]
LEARNING_RATE = 2.0**-5  # exact in float32
STEPS = 10

OPTIMIZERS = {
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=LEARNING_RATE, foreach=False, fused=False),
    "adagrad_decay": lambda p: torch.optim.Adagrad(
        p, lr=LEARNING_RATE, lr_decay=0.25, weight_decay=0.1, initial_accumulator_value=0.5, foreach=False, fused=False
    ),
    "adamax": lambda p: torch.optim.Adamax(p, lr=LEARNING_RATE, foreach=False),
    "adamax_decay": lambda p: torch.optim.Adamax(
        p, lr=LEARNING_RATE, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1, foreach=False
    ),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=LEARNING_RATE, foreach=False),
    "rmsprop_centered": lambda p: torch.optim.RMSprop(p, lr=LEARNING_RATE, alpha=0.9, centered=True, foreach=False),
    "rmsprop_momentum_decay": lambda p: torch.optim.RMSprop(
        p, lr=LEARNING_RATE, alpha=0.9, eps=1e-6, momentum=0.8, centered=True, weight_decay=0.1, foreach=False
    ),
    "adam": lambda p: torch.optim.Adam(p, lr=LEARNING_RATE, foreach=False, fused=False),
    "adam_decay": lambda p: torch.optim.Adam(
        p, lr=LEARNING_RATE, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1, foreach=False, fused=False
    ),
    "adamw": lambda p: torch.optim.AdamW(p, lr=LEARNING_RATE, weight_decay=0.1, foreach=False, fused=False),
    "sgd": lambda p: torch.optim.SGD(p, lr=LEARNING_RATE, foreach=False, fused=False),
    "sgd_momentum": lambda p: torch.optim.SGD(p, lr=LEARNING_RATE, momentum=0.9, foreach=False, fused=False),
    "sgd_nesterov_decay": lambda p: torch.optim.SGD(
        p, lr=LEARNING_RATE, momentum=0.9, nesterov=True, weight_decay=0.1, foreach=False, fused=False
    ),
}


def trajectory(make, dtype):
    parameter = torch.tensor(START, dtype=dtype, requires_grad=True)
    curvature = torch.tensor(CURVATURE, dtype=dtype)
    optimizer = make([parameter])
    rows = []
    for t in range(STEPS):
        wave = torch.tensor([math.sin(1.3 * t + i) for i in range(len(START))], dtype=dtype)
        parameter.grad = curvature * parameter.detach() + wave
        optimizer.step()
        rows.append(parameter.detach().clone().tolist())
    return rows


def cpp(values):
    return "{" + ", ".join(repr(v) for v in values) + "}"


print("// Written by scripts/make_golden_optim.py with torch", torch.__version__.split("+")[0] + "; not to be edited.")
print("// clang-format off")
print("#pragma once\n#include <vector>\n\nnamespace elbo::golden {\n")
print(f"inline const std::vector<double> kOptimStart = {cpp(START)};")
print(f"inline const std::vector<double> kOptimCurvature = {cpp(CURVATURE)};")
print(f"inline constexpr double kOptimLearningRate = {LEARNING_RATE};\n")
for name, make in OPTIMIZERS.items():
    for dtype, suffix in ((torch.float32, "float32"), (torch.float64, "float64")):
        rows = ",\n    ".join(cpp(r) for r in trajectory(make, dtype))
        print(f"inline const std::vector<std::vector<double>> k_{name}_{suffix} = {{\n    {rows}}};\n")
print("}  // namespace elbo::golden")
