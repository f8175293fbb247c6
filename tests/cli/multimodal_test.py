"""Models of several modalities at the command line: subsets in evaluations, draws given files and rows, crossed pictures."""
import glob
import json
import os
import struct
import tempfile
import zipfile
import zlib

from support import CliTest, elbo, is_png, main, read, write

CONFIG = """\
name: test/two
seed: 3
data: {type: digits, binarize: threshold, batch_size: 100}
model:
  type: multimodal_vae
  latent_size: 4
  aggregation: {type: moe}
  modalities:
    image: {field: x, encoder: {type: mlp, hidden: [24]}, decoder: {type: mlp, hidden: [24]}, likelihood: {type: bernoulli}}
    label: {encoder: {type: mlp, hidden: [8]}, decoder: {type: mlp, hidden: [8]}, likelihood: {type: categorical}, weight: 5}
objective: {type: elbo}
optimizer: {type: adam, learning_rate: 1e-2}
training: {epochs: 2}
evaluation: {metrics: [elbo], samples: 20, pictures: 6}
"""


def png(width, height, grey=200):
    """A grey PNG, all of one level."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + bytes([grey] * width) for _ in range(height))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def size_of(path):
    return struct.unpack(">II", read(path)[16:24])


def npy(shape, values, kind="f"):
    header = repr({"descr": "<f4" if kind == "f" else "|u1", "fortran_order": False, "shape": shape})
    body = struct.pack(f"<{len(values)}{'f' if kind == 'f' else 'B'}", *values)
    header += " " * (63 - (10 + len(header)) % 64) + "\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode() + body


def arrays(path):
    """Shapes, types and bytes by name."""
    found = {}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            data = archive.read(name)
            length = int.from_bytes(data[8:10], "little")
            header = eval(data[10:10 + length].decode())  # a literal dict by the format
            found[name[:-4]] = (header["shape"], header["descr"], data[10 + length:])
    return found


class Multimodal(CliTest):
    @classmethod
    def setUpClass(cls):
        cls.shared = tempfile.TemporaryDirectory(prefix="elbo-test-")
        cls.folder_of_run = os.path.join(cls.shared.name, "run")
        elbo("train", write(os.path.join(cls.shared.name, "two.yaml"), CONFIG), "--run", cls.folder_of_run, "--quiet")

    @classmethod
    def tearDownClass(cls):
        cls.shared.cleanup()

    def test_numbers_of_subsets_are_a_table(self):
        result = self.elbo("evaluate", self.folder_of_run, "--metrics", "log_likelihood", "--samples", "8", "--limit", "20", "--quiet",
                           "--subsets", "all", "--json", "e.json", "--per-example", "e.csv")
        lines = result.out.splitlines()
        self.assertTrue(any(line.split()[:3] == ["modalities", "log_likelihood_nats", "effective_sample_size"] for line in lines), lines)
        self.assertIn("log_likelihood_ratio_nats of each modality", lines)
        metrics = json.loads(read(self.path("e.json")))["metrics"]
        for name in ("", "(image)", "(label)", "(image|label)", "(label|image)"):
            self.assertIn(f"log_likelihood{name}_nats", metrics)
            self.assertIn(f"log_likelihood{name}_standard_error_nats", metrics)
            self.assertGreaterEqual(metrics[f"effective_sample_size{name}"], 1)
        self.assertAlmostEqual(metrics["log_likelihood_nats"] - metrics["log_likelihood(label)_nats"],
                               metrics["log_likelihood_ratio(image|label)_nats"], places=6)
        self.assertIn("log_likelihood(label|image)_nats", read(self.path("e.csv")).decode().splitlines()[0])
        self.assertEqual(len(read(self.path("e.csv")).splitlines()), 21)

    def test_the_bound_has_a_part_a_modality(self):
        result = self.elbo("evaluate", self.folder_of_run, "--metrics", "elbo", "--json", "-", "--quiet")
        metrics = json.loads(result.out)["metrics"]
        parts = metrics["reconstruction(image)_nats"] + metrics["reconstruction(label)_nats"]
        self.assertAlmostEqual(parts, metrics["reconstruction_nats"], delta=1e-3)  # although label weighs 5 in training

    def test_subsets_are_of_the_models_modalities(self):
        for subsets, says in [("imag", "did you mean 'image'"), ("image,image", "twice"), ("image;", "expected all, singles, full")]:
            with self.subTest(subsets):
                self.refused(1, "evaluate", self.folder_of_run, "--metrics", "log_likelihood", "--subsets", subsets, "--quiet",
                             says=[says])

    def test_draws_are_of_all_modalities(self):
        self.elbo("sample", self.folder_of_run, "--count", "5", "--out", "s.npz")
        found = arrays(self.path("s.npz"))
        self.assertEqual({name: value[:2] for name, value in found.items()},
                         {"image": ((5, 1, 8, 8), "<f4"), "label": ((5,), "<i8")})
        self.elbo("sample", self.folder_of_run, "--count", "5", "--out", "s.png")
        self.assertTrue(is_png(self.path("s.png")))
        self.assertEqual(size_of(self.path("s.png")), (2 + 86 + 12 + 5 * 86, 12 + 2 * 86 + 12))

    def test_draws_are_given_files_classes_and_rows(self):
        write(self.path("shoe.png"), png(8, 8))
        write(self.path("level.npy"), npy((1, 8, 8), [1] * 64, "B"))
        write(self.path("same.npy"), npy((1, 8, 8), [1.0] * 64))
        for name, given in [("png", "image=shoe.png"), ("bytes", "image=level.npy"), ("floats", "image=same.npy"),
                            ("row", "image=test:17"), ("class", "label=3"), ("both", "image=shoe.png,label=3")]:
            result = self.elbo("sample", self.folder_of_run, "--given", given, "--count", "4", "--out", name + ".npz")
            self.assertIn("given", result.err)
        self.refused(1, "sample", self.folder_of_run, "--given", "image=test:17,shoe.png", "--out", "./shoe.png",
                     says="--out: './shoe.png' is what --given reads; choose another name")
        self.assertEqual(read(self.path("shoe.png")), png(8, 8))
        self.assertEqual(arrays(self.path("png.npz")), arrays(self.path("bytes.npz")))
        self.assertEqual(arrays(self.path("png.npz")), arrays(self.path("floats.npz")))
        self.assertNotEqual(arrays(self.path("png.npz"))["image"], arrays(self.path("row.npz"))["image"])
        self.elbo("sample", self.folder_of_run, "--given", "label=0,1,2", "--count", "6", "--out", "turns.png")
        self.assertEqual(size_of(self.path("turns.png")), (2 + 2 * 86 + 12 + 2 * 86, 12 + 3 * (2 * 86 + 12)))

    def test_what_cannot_be_given_is_told(self):
        write(self.path("wide.png"), png(9, 8))
        write(self.path("flat.npy"), npy((64,), [0.5] * 64))
        write(self.path("large.npy"), npy((1, 8, 8), [2.0] * 64))
        for given, says in [("image=wide.png", "9 x 8 pixels, and image is a grey picture of 8 x 8 pixels: scale it first"),
                            ("image=flat.npy", "its shape is [64], expected [1, 8, 8]"),
                            ("image=large.npy", "expected numbers in [0, 1]"),
                            ("image=none.png", "none.png"),
                            ("image=", "image is a grey picture of 8 x 8 pixels; expected a .png, .jpg or .npy file"),
                            ("image=3", "image is a grey picture of 8 x 8 pixels; expected a .png, .jpg or .npy file"),
                            ("label=12", "expected classes from 0 to 9"),
                            ("label=wide.png", "label is one of 10 classes; expected the number of a class, 0 to 9"),
                            ("image=test:100000", "rows, expected 0 to"),
                            ("lable=3", "did you mean 'label'? The modalities are image, label"),
                            ("3", "FIELD=CLASS")]:
            with self.subTest(given):
                result = self.elbo("sample", self.folder_of_run, "--given", given, "--out", "x.png", check_code=None)
                self.assertNotEqual(result.code, 0, result)
                self.assertEqual(len(result.errors), 1, result)
                self.assertIn(says, result.err)
                self.assertFalse(os.path.exists(self.path("x.png")))
        self.refused(1, "sample", self.folder_of_run, "--out", "x.csv", says=["several modalities"])

    def test_reconstructions_are_crossed(self):
        self.elbo("reconstruct", self.folder_of_run, "--count", "2", "--out", "c.png")
        self.assertEqual(size_of(self.path("c.png")), (2 + 86 + 12 + 2 * 86, 2 * (18 + 2 * 86 + 2)))
        self.elbo("reconstruct", self.folder_of_run, "--count", "7", "--out", "c.npz")
        found = arrays(self.path("c.npz"))
        self.assertEqual(sorted(found), ["image", "image_from_all", "image_from_image", "image_from_label", "index", "label",
                                         "label_from_all", "label_from_image", "label_from_label"])
        self.assertEqual(found["image_from_label"][0], (7, 1, 8, 8))
        self.assertEqual(found["label_from_image"][:2], ((7,), "<i8"))

    def test_pictures_of_training_and_the_report(self):
        pictures = sorted(os.path.basename(path) for path in glob.glob(os.path.join(self.folder_of_run, "samples", "*.png")))
        self.assertEqual([name.split("-", 2)[2] for name in pictures], ["cross_generation.png", "samples.png"] * 2)
        self.elbo("evaluate", self.folder_of_run, "--metrics", "log_likelihood", "--samples", "4", "--limit", "10", "--quiet",
                  "--subsets", "singles", "--json", os.path.join(self.folder_of_run, "subsets.json"))
        self.elbo("report", self.folder_of_run, "--out", "r.html")
        page = read(self.path("r.html")).decode()
        for words in ("<h2 id=\"cross_generation\">", "log likelihood ratio (nats) of each modality", "by modalities"):
            self.assertIn(words, page)


class OneModality(CliTest):
    def test_has_no_subsets(self):
        run = self.train()
        self.refused(1, "evaluate", run, "--subsets", "all", "--quiet", says=["--subsets is for models of several modalities", "vae"])


if __name__ == "__main__":
    main()
