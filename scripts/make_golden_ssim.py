#!/usr/bin/env python3
"""Writes tests/golden/ssim.h: SSIM and PSNR by their definitions, window by window in plain Python, in float64.

Pictures are sine waves that the test writes too: element j is (1 + sin(1.7 j + phase)) / 2. scikit-image gives the same numbers:
structural_similarity(a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1), channel by channel.
"""

import math
import pathlib

SIDE = 11


def wavy(shape, phase):
    """[C][H][W]"""
    channels, height, width = shape
    return [[[(1 + math.sin(1.7 * ((c * height + y) * width + x) + phase)) / 2 for x in range(width)] for y in range(height)]
            for c in range(channels)]


def blend(a, b, share):
    return [[[(1 - share) * p + share * q for p, q in zip(row, other)] for row, other in zip(plane, others)] for plane, others in
            zip(a, b)]


WEIGHTS = [[math.exp(-((y - 5) ** 2 + (x - 5) ** 2) / (2 * 1.5**2)) for x in range(SIDE)] for y in range(SIDE)]
TOTAL = sum(map(sum, WEIGHTS))


def window_ssim(a, b, top, left):
    cells = [(WEIGHTS[y][x] / TOTAL, a[top + y][left + x], b[top + y][left + x]) for y in range(SIDE) for x in range(SIDE)]
    mean_a = sum(w * p for w, p, q in cells)
    mean_b = sum(w * q for w, p, q in cells)
    var_a = sum(w * (p - mean_a) ** 2 for w, p, q in cells)
    var_b = sum(w * (q - mean_b) ** 2 for w, p, q in cells)
    covariance = sum(w * (p - mean_a) * (q - mean_b) for w, p, q in cells)
    c1, c2 = 0.01**2, 0.03**2
    return ((2 * mean_a * mean_b + c1) * (2 * covariance + c2)) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))


def ssim(a, b):
    planes = []
    for p, q in zip(a, b):
        places = [(y, x) for y in range(len(p) - SIDE + 1) for x in range(len(p[0]) - SIDE + 1)]
        planes.append(sum(window_ssim(p, q, y, x) for y, x in places) / len(places))
    return sum(planes) / len(planes)


def psnr(a, b):
    errors = [(p - q) ** 2 for plane, others in zip(a, b) for row, other in zip(plane, others) for p, q in zip(row, other)]
    return 10 * math.log10(len(errors) / sum(errors))


def cases():
    for shape in ((1, 11, 11), (1, 28, 28), (3, 14, 17)):
        for share in (0.1, 0.7):
            a, b = wavy(shape, 0.3), wavy(shape, 1.9)
            yield shape, share, a, blend(a, b, share)


if __name__ == "__main__":
    lines = [
        "#pragma once", "// Written by scripts/make_golden_ssim.py. Don't edit.", "#include <cstdint>", "#include <vector>", "",
        "namespace elbo::golden {", "", "struct Similarity {", "  std::vector<int64_t> shape = {};", "  double share = 0;",
        "  double ssim = 0;", "  double psnr = 0;", "};", "", "inline const std::vector<Similarity> kSimilarities = {"
    ]
    for shape, share, a, b in cases():
        lines.append(f"    {{{{{', '.join(map(str, shape))}}}, {share}, {ssim(a, b)!r}, {psnr(a, b)!r}}},")
    lines += ["};", "", "}  // namespace elbo::golden", ""]
    target = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "ssim.h"
    target.write_text("\n".join(lines))
