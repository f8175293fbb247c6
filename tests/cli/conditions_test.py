"""Samples of a class, and tables: missing cells filled, rows scored, everything in the units of the file."""
import csv
import glob
import math
import os
import random
import unittest

from support import SMALL, CliTest, is_png, main, write

CONDITIONAL = SMALL.replace("type: vae", "type: conditional_vae")
TABLE = """\
name: test/table
seed: 3
data:
  type: table
  path: people.csv
  batch_size: 50
  columns:
    - {name: "age, years"}
    - {name: height}
    - {name: colour, type: category}
    - {name: visits, type: count}
model:
  type: vae
  latent_size: 2
  encoder: {type: mlp, hidden: [16], activation: tanh}
  decoder: {type: mlp, hidden: [16], activation: tanh}
  likelihood: {type: table, count: negative_binomial, columns: {height: student_t}}
objective: {type: iwae, samples: 5}
optimizer: {type: adam, learning_rate: 1e-2}
training: {epochs: 15}
evaluation: {metrics: [elbo], samples: 20}
"""
COLOURS = ("blue", 'dark "red"', "green")


class Conditions(CliTest):
    def test_samples_are_of_the_classes_that_are_asked_for(self):
        run = self.train(config=self.small(CONDITIONAL))
        self.assertEqual(len(glob.glob(os.path.join(run, "samples", "*-samples.png"))), 2)
        self.elbo("sample", run, "--out", "all.png")
        self.assertTrue(is_png(self.path("all.png")))
        self.elbo("sample", run, "--given", "label=7,3", "--count", "5", "--out", "some.npz")
        self.assertEqual(self.labels("some.npz"), [7, 3, 7, 3, 7])
        self.elbo("sample", run, "--given", "label=7", "--given", "label=1", "--count", "3", "--out", "some.npz")
        self.assertEqual(self.labels("some.npz"), [7, 1, 7])
        self.elbo("sample", run, "--count", "12", "--out", "some.npz")
        self.assertEqual(self.labels("some.npz"), [*range(10), 0, 1])
        self.elbo("reconstruct", run, "--out", "r.png")
        for given, says in [("label=10", "label=10"), ("label=x", "label=x"), ("colour=1", "colour"), ("7", "FIELD=CLASS")]:
            with self.subTest(given):
                self.refused(1, "sample", run, "--given", given, says=[says])

    def test_a_model_without_conditions_takes_none(self):
        run = self.train()
        self.refused(1, "sample", run, "--given", "label=1", says=["no conditions"])
        self.refused(1, "sample", run, "--out", "x.csv", says=["no table"])

    def labels(self, name):
        import zipfile
        with zipfile.ZipFile(self.path(name)) as archive:
            data = archive.read("label.npy")
        start = 10 + int.from_bytes(data[8:10], "little")
        return [int.from_bytes(data[i:i + 8], "little") for i in range(start, len(data), 8)]


class Tables(CliTest):
    def setUp(self):
        super().setUp()
        draw = random.Random(1)
        self.whole, self.seen = [], []
        for _ in range(600):
            age = draw.gauss(40, 10)
            height = 1.2 + age / 100 + draw.gauss(0, 0.01)  # one tells the other
            row = [f"{age:.4f}", f"{height:.5f}", COLOURS[0 if age < 33 else 1 if age < 47 else 2], str(int(age / 5 + draw.random() * 2))]
            self.whole.append(row)
            self.seen.append([cell if draw.random() > 0.15 else "" for cell in row])
        with open(self.path("people.csv"), "w", newline="") as file:
            csv.writer(file).writerows([["age, years", "height", "colour", "visits"], *self.seen])
        self.config = write(self.path("table.yaml"), TABLE)
        self.run_folder = self.train(config=self.config, args=())

    def train(self, config, args):
        self.elbo("train", config, "--run", self.path("run"), "--quiet", "--data-root", self.folder, *args)
        return self.path("run")

    def table(self, name):
        with open(self.path(name), newline="") as file:
            header, *rows = csv.reader(file)
        self.assertEqual(header, ["age, years", "height", "colour", "visits"])
        return rows

    def test_missing_cells_are_filled_and_the_others_kept(self):
        root = ("--data-root", self.folder)
        rows = []
        for split in ("train", "valid", "test"):
            self.elbo("reconstruct", self.run_folder, "--split", split, "--out", "filled.csv", "--samples", "200", *root)
            rows += self.table("filled.csv")
        self.assertEqual(len(rows), 600)
        # Rows come split by split, so each is found again by the cells that are there.
        errors, right, filled = [], 0, 0
        by_age = {row[0]: row for row in self.whole}
        for row in rows:
            number = f"{float(row[0]):.4f}"
            original = by_age.get(number)
            if original is None:
                continue  # its age was filled
            self.assertIn(row[2], COLOURS)
            self.assertGreaterEqual(float(row[3]), 0)
            seen = self.seen[self.whole.index(original)]
            if seen[1]:
                self.assertAlmostEqual(float(row[1]), float(seen[1]), places=4)
            else:
                errors.append(float(row[1]) - float(original[1]))
            if seen[2]:
                self.assertEqual(row[2], seen[2])
            else:
                right += row[2] == original[2]
                filled += 1
        self.assertGreater(len(errors), 40)
        # Age tells the height within 0.01, its spread is 0.1: filling with the mean would be off by that.
        self.assertLess(math.sqrt(sum(e * e for e in errors) / len(errors)), 0.07)
        self.assertGreater(right / filled, 0.6)

    def test_rows_are_scored_and_drawn(self):
        self.elbo("evaluate", self.run_folder, "--metrics", "log_likelihood", "--per-example", "scores.csv", "--json", "-",
                  "--data-root", self.folder)
        with open(self.path("scores.csv"), newline="") as file:
            self.assertEqual(len(list(csv.reader(file))), 61)
        self.elbo("sample", self.run_folder, "--count", "7", "--out", "drawn.csv")
        drawn = self.table("drawn.csv")
        self.assertEqual(len(drawn), 7)
        self.assertTrue(all(5 < float(row[0]) < 75 and row[2] in COLOURS for row in drawn))
        self.elbo("reconstruct", self.run_folder, "--out", "r.npz", "--data-root", self.folder)
        self.refused(1, "reconstruct", self.run_folder, "--out", "r.png", "--data-root", self.folder, says=["no pictures"])

    def test_columns_are_named_in_the_errors(self):
        for change, says in [("{height: student_t}", "{heigt: student_t}"), ("{height: student_t}", "{colour: poisson}")]:
            config = write(self.path("wrong.yaml"), TABLE.replace(change, says))
            self.refused(2, "train", config, "--run", self.path("other"), "--data-root", self.folder, says=["likelihood 'table'"])


if __name__ == "__main__":
    main()
