#!/usr/bin/env python3
"""Writes tests/golden/frechet.h: Fréchet distances of normals from numpy in float64, by another way than ours: the trace of the root of
C1 C2 from the eigenvalues of that product, which is not symmetric.

Rows are sine waves that the test writes too: element j is scale * sin(1.7 j + 0.013 j^2 + phase) + shift. scipy.linalg.sqrtm(C1 @ C2) has the
same trace.
"""
import pathlib

import numpy as np

CASES = [  # rows, features, then phase, scale and shift of a and of b
    (40, 3, (0.0, 1.0, 0.0), (0.5, 1.0, 0.0)),
    (40, 3, (0.0, 1.0, 0.0), (1.3, 2.5, 0.7)),
    (50, 8, (0.2, 3.0, 100.0), (2.0, 0.5, 101.0)),
    (5, 12, (0.1, 1.0, 0.0), (0.9, 1.5, 0.0)),  # fewer rows than features
]


def wavy(rows, features, phase, scale, shift):
    j = np.arange(rows * features, dtype=np.float64)
    return (scale * np.sin(1.7 * j + 0.013 * j * j + phase) + shift).reshape(rows, features)


def distance(a, b):
    c1, c2 = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    roots = np.sqrt(np.clip(np.linalg.eigvals(c1 @ c2).real, 0, None))
    return float(((a.mean(0) - b.mean(0))**2).sum() + np.trace(c1) + np.trace(c2) - 2 * roots.sum())


if __name__ == "__main__":
    lines = [
        "#pragma once", "// Written by scripts/make_golden_frechet.py. Don't edit.", "#include <array>", "#include <cstdint>", "#include <vector>",
        "", "namespace elbo::golden {", "", "struct FrechetCase {", "  int64_t rows = 0;", "  int64_t features = 0;",
        "  std::array<double, 3> a = {}, b = {};  // phase, scale, shift", "  double distance = 0;", "};", "",
        "inline const std::vector<FrechetCase> kFrechetCases = {"
    ]
    for rows, features, a, b in CASES:
        value = distance(wavy(rows, features, *a), wavy(rows, features, *b))
        spell = lambda numbers: "{" + ", ".join(map(repr, numbers)) + "}"
        lines.append(f"    {{{rows}, {features}, {spell(a)}, {spell(b)}, {value!r}}},")
    lines += ["};", "", "}  // namespace elbo::golden", ""]
    (pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "frechet.h").write_text("\n".join(lines))
