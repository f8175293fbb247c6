#!/usr/bin/env python3
"""Writes src/data/digits.bin: the UCI digits, 1,797 rows of 64 pixels (0..16, row by row) and the label, one byte each.

Source: "Optical Recognition of Handwritten Digits" (its test set), E. Alpaydin and C. Kaynak, 1998, UCI Machine Learning
Repository, https://doi.org/10.24432/C50P49. Licence: CC BY 4.0. The copy read here is datasets/data/digits.csv.gz of the
scikit-learn wheel; nothing but the encoding is changed.

Usage:  pip download scikit-learn --no-deps -d /tmp/wheel && scripts/make_digits.py /tmp/wheel/scikit_learn-*.whl
"""

import gzip
import pathlib
import sys
import zipfile

wheel = zipfile.ZipFile(sys.argv[1])
text = gzip.decompress(wheel.read("sklearn/datasets/data/digits.csv.gz")).decode("ascii")
rows = [[int(float(cell)) for cell in line.split(",")] for line in text.split()]
assert len(rows) == 1797 and all(len(row) == 65 for row in rows)
assert all(0 <= pixel <= 16 for row in rows for pixel in row[:64]) and all(0 <= row[64] <= 9 for row in rows)
target = pathlib.Path(__file__).resolve().parent.parent / "src/data/digits.bin"
target.write_bytes(bytes(value for row in rows for value in row))
print(f"{target}: {target.stat().st_size} bytes")
