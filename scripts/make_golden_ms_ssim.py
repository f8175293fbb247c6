#!/usr/bin/env python3
"""Writes tests/golden/ms_ssim.h: multi-scale SSIM as pytorch-msssim 1.0.0 has it, in float64 (pip install torch pytorch-msssim).

Pictures are waves that the test writes too: element j is (2 + sin(1.7 j + phase) + sin(0.05 j + 3 phase)) / 4.
"""

import pathlib

import torch
from pytorch_msssim import ms_ssim

WEIGHTS = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333]


def waves(shape, phase):
    j = torch.arange(shape[0] * shape[1] * shape[2], dtype=torch.float64)
    return ((2 + (1.7 * j + phase).sin() + (0.05 * j + 3 * phase).sin()) / 4).view(1, *shape)


def cases():
    for shape, scales in (((1, 176, 176), 5), ((3, 161, 190), 5), ((2, 165, 161), 3), ((1, 161, 163), 1)):
        for share in (0.1, 0.7):
            a, b = waves(shape, 0.3), waves(shape, 1.9)
            # All five as they are published: they add up to 1.0001.
            total = sum(WEIGHTS[:scales])
            weights = None if scales == len(WEIGHTS) else [w / total for w in WEIGHTS[:scales]]
            yield shape, scales, share, ms_ssim(a, (1 - share) * a + share * b, data_range=1, weights=weights).item()


if __name__ == "__main__":
    lines = [
        "#pragma once", "// Written by scripts/make_golden_ms_ssim.py with pytorch-msssim 1.0.0. Don't edit.", "#include <cstdint>",
        "#include <vector>", "", "namespace elbo::golden {", "", "struct MultiScaleSimilarity {",
        "  std::vector<int64_t> shape = {};", "  int64_t scales = 0;", "  double share = 0;", "  double ms_ssim = 0;", "};", "",
        "inline const std::vector<MultiScaleSimilarity> kMultiScaleSimilarities = {"
    ]
    for shape, scales, share, value in cases():
        lines.append(f"    {{{{{', '.join(map(str, shape))}}}, {scales}, {share}, {value!r}}},")
    lines += ["};", "", "}  // namespace elbo::golden", ""]
    target = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "ms_ssim.h"
    target.write_text("\n".join(lines))
