#!/usr/bin/env python3
"""Paired comparison of two runs: the mean difference of a column and its standard error over the same examples.

    elbo evaluate RUN_A --metrics log_likelihood --samples 5000 --limit 1000 --per-example a.csv
    elbo evaluate RUN_B --metrics log_likelihood --samples 5000 --limit 1000 --per-example b.csv
    scripts/compare_per_example.py a.csv b.csv log_likelihood_nats
"""
import csv
import math
import sys


def column(path, name):
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or name not in rows[0]:
        sys.exit(f"{path}: no column '{name}'; there are {', '.join(rows[0]) if rows else 'no rows'}")
    return {row["index"]: float(row[name]) for row in rows}


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    a, b = column(sys.argv[1], sys.argv[3]), column(sys.argv[2], sys.argv[3])
    if a.keys() != b.keys():
        sys.exit("the two files hold different examples")
    differences = [b[index] - a[index] for index in a]
    n = len(differences)
    mean = sum(differences) / n
    error = math.sqrt(sum((d - mean) ** 2 for d in differences) / (n - 1) / n)
    print(f"{sys.argv[3]}: {sum(a.values()) / n:.4f} and {sum(b.values()) / n:.4f}; "
          f"difference {mean:.4f} +- {error:.4f} ({mean / error:.1f} paired standard errors, {n} examples)")


if __name__ == "__main__":
    main()
