"""Images to a file of codes and back: in other processes with other threads, beside pictures in files and on standard streams."""
import json
import os
import random
import shutil
import struct
import subprocess
import tempfile
import unittest
import zipfile
import zlib

import support
from quantized_test import CONFIG as BASE
from stages_test import PRIOR
from support import CliTest, elbo, environment, is_png, main, read, write

# Nothing beyond SSE4.2 in LibTorch and MKL; the other test of it, with every prior, is coded_models_test.
WITHOUT_VECTORS = {"ATEN_CPU_CAPABILITY": "default", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"}
NUMBERS = {"<i8": "q", "<f4": "f", "|u1": "B"}


def array_of(path, name):
    """Extents and numbers of an array, without numpy."""
    with zipfile.ZipFile(path) as archive:
        data = archive.read(name + ".npy")
    end = 10 + int.from_bytes(data[8:10], "little")
    header = eval(data[10:end].decode())  # a literal dict by the format
    count = 1
    for extent in header["shape"]:
        count *= extent
    return header["shape"], struct.unpack(f"<{count}{NUMBERS[header['descr']]}", data[end:])


def npy(shape, kind, numbers):
    header = str({"descr": kind, "fortran_order": False, "shape": tuple(shape)}).encode()
    header += b" " * (64 - (10 + len(header)) % 64 - 1) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + struct.pack(f"<{len(numbers)}{NUMBERS[kind]}", *numbers)


def png(width, height, channels, pixels):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    stride = width * channels
    rows = b"".join(b"\0" + bytes(pixels[y * stride:(y + 1) * stride]) for y in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 0 if channels == 1 else 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def crc32c(data):
    rest = 0xffffffff
    for byte in data:
        rest ^= byte
        for _ in range(8):
            rest = rest >> 1 ^ (0x82f63b78 if rest & 1 else 0)
    return rest ^ 0xffffffff


def varint(value):
    out = []
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def renamed(data, old, new):
    """A file of codes with another name in it."""
    at, length = 9, 0
    while not length or data[at - 1] >= 128:
        length += (data[at] & 127) << 7 * (at - 9)
        at += 1
    old, new = (varint(len(name)) + name.encode() for name in (old, new))
    assert at + length == len(data) and data.count(old) == 1
    data = data[:9] + varint(length + len(new) - len(old)) + data[at:-4].replace(old, new)
    return data + crc32c(data).to_bytes(4, "little")


def pixels_of(path):
    """Grey levels of a PNG of one channel."""
    data, at, body = read(path), 8, b""
    width, height = struct.unpack(">II", data[16:24])
    while at < len(data):
        length = int.from_bytes(data[at:at + 4], "big")
        if data[at + 4:at + 8] == b"IDAT":
            body += data[at + 8:at + 8 + length]
        at += 12 + length
    raw, rows = zlib.decompress(body), []
    for y in range(height):
        kind, line = raw[y * (width + 1)], raw[y * (width + 1) + 1:(y + 1) * (width + 1)]
        row = []
        for x in range(width):
            left, up = (row[x - 1] if x else 0), (rows[-1][x] if rows else 0)
            corner = rows[-1][x - 1] if x and rows else 0
            guess = left + up - corner
            paeth = min((abs(guess - left), 0, left), (abs(guess - up), 1, up), (abs(guess - corner), 2, corner))[2]
            row.append((line[x] + (0, left, up, (left + up) // 2, paeth)[kind]) % 256)
        rows.append(row)
    return [level for row in rows for level in row]


class Compress(CliTest):
    @classmethod
    def setUpClass(cls):
        cls.runs = tempfile.mkdtemp(prefix="elbo-test-")
        cls.addClassCleanup(shutil.rmtree, cls.runs, ignore_errors=True)
        base, cls.prior = os.path.join(cls.runs, "base"), os.path.join(cls.runs, "prior")
        elbo("train", write(base + ".yaml", BASE), "--run", base, "--quiet", cwd=cls.runs)
        elbo("train", write(cls.prior + ".yaml", PRIOR), "--run", cls.prior, "--quiet", cwd=cls.runs)
        cls.base = os.path.join(cls.runs, "moved")
        os.rename(base, cls.base)  # the prior stands alone

    def report(self, run, *args):
        self.elbo("compress", run, *args, "--json", "report.json", "--quiet")
        return json.loads(read(self.path("report.json")))

    def piped(self, data, *args):
        """Bytes in, bytes out."""
        done = subprocess.run([support.PROGRAM, *map(str, args)], input=data, capture_output=True, cwd=self.folder, env=environment())
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done.stdout

    def test_a_split_comes_back_in_another_process_with_other_threads(self):
        self.elbo("encode", self.base, "--out", "z.npz")
        codes = array_of(self.path("z.npz"), "codes")
        self.elbo("reconstruct", self.base, "--count", "180", "--out", "r.npz")
        own = array_of(self.path("r.npz"), "reconstruction")
        sizes = {}
        for run, prior in ((self.base, "uniform"), (self.base, "empirical"), (self.prior, "autoregressive")):
            with self.subTest(prior):
                report = self.report(run, "split:test", "--prior", prior, "--out", "f.elbo", "--threads", "2", "--images-per-stream", "100")
                size = os.path.getsize(self.path("f.elbo"))
                sizes[prior] = size
                self.assertEqual((report["prior"], report["images"], report["streams"]), (prior, 180, 2))
                self.assertEqual(report["file_bytes"], size)
                self.assertAlmostEqual(report["bits_per_pixel"], 8 * size / (180 * 64), places=12)
                self.assertEqual(report["bits_per_dim"], report["bits_per_pixel"])
                self.assertAlmostEqual(report["nominal_bits"], 16 * 180, places=6)
                self.assertAlmostEqual(report["integer_bits"] / report["model_bits"], 1, delta=1e-3)
                self.assertLessEqual(8 * report["payload_bytes"], 1.01 * report["integer_bits"] + 2 * 64)
                for threads, env in (("1", {}), ("4", {}), ("1", WITHOUT_VECTORS)):
                    self.elbo("decompress", run, "f.elbo", "--out", "d.npz", "--threads", threads, env=env)
                    self.assertEqual(array_of(self.path("d.npz"), "codes"), codes)
                    shape, x = array_of(self.path("d.npz"), "x")
                    self.assertEqual(shape, own[0])
                    self.assertLessEqual(max(abs(round(255 * a) - round(255 * b)) for a, b in zip(x, own[1])), 1)
        self.assertLess(sizes["autoregressive"], sizes["empirical"])
        self.assertLess(sizes["empirical"], sizes["uniform"])
        self.elbo("decompress", self.prior, "f.elbo", "--codes", "--out", "c.npz", "--quiet")
        self.assertEqual(array_of(self.path("c.npz"), "codes"), codes)
        with zipfile.ZipFile(self.path("c.npz")) as archive:
            self.assertEqual(archive.namelist(), ["codes.npy"])
        self.assertEqual(self.report(self.prior, "split:test", "--out", "auto.elbo")["prior"], "autoregressive")
        auto = self.report(self.base, "split:test", "--out", "auto.elbo", "--images-per-stream", "100")
        self.assertEqual(auto["file_bytes"], min(sizes["uniform"], sizes["empirical"]))

    def test_a_run_reads_its_own_files_and_its_bases(self):
        self.elbo("compress", self.base, "split:test", "--limit", "5", "--prior", "uniform", "--out", "base.elbo", "--quiet")
        self.elbo("compress", self.prior, "split:test", "--limit", "5", "--out", "prior.elbo", "--quiet")
        self.elbo("compress", self.prior, "split:test", "--limit", "5", "--prior", "uniform", "--out", "same.elbo", "--quiet")
        self.assertEqual(read(self.path("same.elbo")), read(self.path("base.elbo")))
        self.elbo("decompress", self.prior, "base.elbo", "--out", "d.npz", "--quiet")
        self.refused(3, "decompress", self.base, "prior.elbo", "--out", "d.npz", says=("prior.elbo: byte ", "made with the prior of hash"))
        self.elbo("train", write(self.path("o.yaml"), BASE.replace("seed: 3", "seed: 4")), "--run", "other", "--quiet")
        self.refused(3, "decompress", "other", "base.elbo", "--out", "d.npz", says=("base.elbo: byte ", "made with the model of hash"))
        self.refused(1, "compress", self.base, "split:test", "--prior", "autoregressive", says="train a second stage")

    def test_damaged_files_are_refused(self):
        self.elbo("compress", self.prior, "split:test", "--limit", "9", "--out", "f.elbo", "--quiet")
        good = read(self.path("f.elbo"))
        for i, bad in enumerate((good[:40], good[:-1], good + b"\0", b"", good[:30] + bytes([good[30] ^ 4]) + good[31:],
                                 good[:-9] + bytes([good[-9] ^ 128]) + good[-8:], b"PNG")):
            with self.subTest(i):
                write(self.path("bad.elbo"), bad)
                self.refused(3, "decompress", self.prior, "bad.elbo", "--out", "d.npz", says="bad.elbo: byte ")
        draw = random.Random(7)
        for i in range(int(os.environ.get("ELBO_DAMAGED", "6"))):
            at, bad = draw.randrange(len(good)), bytearray(good)
            if i % 3 == 0:
                del bad[at:]
            elif i % 3 == 1:
                bad[at] ^= 1 << draw.randrange(8)
            else:
                bad[at:at + draw.randrange(20)] = draw.randbytes(draw.randrange(1, 20)) + b"!"
            with self.subTest(f"{i}: byte {at} of {len(good)}"):
                self.assertNotEqual(bytes(bad), good)
                write(self.path("bad.elbo"), bytes(bad))
                self.refused(3, "decompress", self.prior, "bad.elbo", "--out", "d.npz", says="bad.elbo: byte ")
        self.assertFalse(os.path.exists(self.path("d.npz")))

    def test_a_file_of_no_image_is_refused(self):
        fields = bytes(32) + bytes([0, 0, 1, 8, 8, 1, 2, 2, 1, 16, 0, 1, 0, 0])  # no image, one a stream; no names, no counts
        data = b"\x89elbo\r\n\x1a\x01" + bytes([len(fields) + 4]) + fields
        write(self.path("none.elbo"), data + crc32c(data).to_bytes(4, "little"))
        for out in ("d.npz", "one.png", "folder"):
            self.refused(3, "decompress", self.base, "none.elbo", "--out", out, says="none.elbo: holds no image")
            self.assertFalse(os.path.exists(self.path(out)))

    def pictures(self):
        """Digits as PNGs, two of them in a folder below with the same name."""
        self.elbo("reconstruct", self.base, "--count", "4", "--out", "r.npz")
        _, x = array_of(self.path("r.npz"), "x")
        grey = [[round(255 * v) for v in x[64 * i:64 * (i + 1)]] for i in range(4)]
        write(self.path("in", "b.png"), png(8, 8, 1, grey[0]))
        write(self.path("in", "a.png"), png(8, 8, 3, [v for v in grey[1] for _ in range(3)]))  # colour that is grey
        write(self.path("in", "more", "b.png"), png(8, 8, 1, grey[2]))
        write(self.path("b.png"), png(8, 8, 1, grey[3]))
        return grey

    def test_pictures_come_back_under_their_names(self):
        grey = self.pictures()
        self.elbo("compress", self.prior, "in", "b.png", "--out", "f.elbo")
        result = self.elbo("decompress", self.prior, "f.elbo", "--out", "back")
        self.assertIn("4 images in back (coded under the trained prior)", result.err)
        self.assertEqual(sorted(os.listdir(self.path("back"))), ["a.png", "b-2.png", "b.png", "more_b.png"])
        # The same images as an array have the same codes.
        order = [grey[1], grey[0], grey[2], grey[3]]
        write(self.path("x.npy"), npy((4, 8, 8), "|u1", [v for image in order for v in image]))
        self.elbo("compress", self.prior, "x.npy", "--out", "x.elbo")
        self.elbo("decompress", self.prior, "x.elbo", "--out", "x.npz")
        _, x = array_of(self.path("x.npz"), "x")
        for i, name in enumerate(("a.png", "b.png", "more_b.png", "b-2.png")):
            self.assertTrue(is_png(self.path("back", name)))
            levels = [min(255, max(0, round(255 * v))) for v in x[64 * i:64 * (i + 1)]]
            self.assertLessEqual(max(abs(a - b) for a, b in zip(pixels_of(self.path("back", name)), levels)), 1)
        self.elbo("decompress", self.prior, "x.elbo", "--out", "numbers")
        self.assertEqual(sorted(os.listdir(self.path("numbers"))), ["0.png", "1.png", "2.png", "3.png"])
        before = read(self.path("back", "a.png"))
        self.refused(1, "decompress", self.prior, "f.elbo", "--out", "back", says="there is a file")
        self.assertEqual(read(self.path("back", "a.png")), before)

    @unittest.skipIf(os.geteuid() == 0, "root reads all folders")
    def test_a_folder_that_may_not_be_read_is_named(self):
        self.pictures()
        os.chmod(self.path("in", "more"), 0)
        self.addCleanup(os.chmod, self.path("in", "more"), 0o700)
        self.refused(3, "compress", self.base, "in", says="in/more: can't be read")

    def test_standard_input_and_output(self):
        grey = self.pictures()
        coded = self.piped(png(8, 8, 1, grey[0]), "compress", self.prior, "-", "--out", "-")
        self.assertEqual(coded[:5], b"\x89elbo")
        self.piped(coded, "decompress", self.prior, "-", "--out", "one.png")
        write(self.path("piped.npz"), self.piped(coded, "decompress", self.prior, "-", "--out", "-"))
        _, x = array_of(self.path("piped.npz"), "x")
        levels = [min(255, max(0, round(255 * v))) for v in x]
        self.assertLessEqual(max(abs(a - b) for a, b in zip(pixels_of(self.path("one.png")), levels)), 1)
        arrays = self.piped(npy((2, 1, 8, 8), "<f4", [v / 255 for image in grey[:2] for v in image]), "compress", self.base, "-", "--out", "-")
        self.piped(arrays, "decompress", self.base, "-", "--out", "two")
        self.assertEqual(sorted(os.listdir(self.path("two"))), ["0.png", "1.png"])
        broken = subprocess.run([support.PROGRAM, "compress", self.base, "-", "--out", "-"], input=png(8, 8, 1, grey[0])[:50],
                                capture_output=True, cwd=self.folder, env=environment())
        self.assertEqual(broken.returncode, 3)
        self.assertTrue(broken.stderr.startswith(b"error: standard input: "), broken.stderr)
        self.assertEqual(broken.stdout, b"")

    def test_names_that_the_file_cant_hold_are_told_before_any_picture_is_read(self):
        os.mkdir(self.path("odd"))
        write(self.path("odd/0.png"), b"no picture")
        write(self.path("odd/a\nb.png"), png(8, 8, 1, [0] * 64))
        self.refused(3, "compress", self.base, "odd", says=("odd/a\\nb.png", "holds a control character; rename the picture"))
        os.remove(self.path("odd/a\nb.png"))
        os.makedirs(self.path("odd/" + "d" * 200))
        write(self.path("odd/" + "d" * 200 + "/" + "e" * 60 + ".png"), png(8, 8, 1, [0] * 64))
        self.refused(3, "compress", self.base, "odd", says=("has 265 bytes, expected at most 255", "compress the folder that it lies in"))
        self.refused(3, "compress", self.base, "odd/0.png", says="odd/0.png")
        write(self.path("e" * 252), png(8, 8, 1, [0] * 64))
        self.refused(3, "compress", self.base, "odd/0.png", "e" * 252, says=("makes a .png name of 256 bytes, expected at most 255", "rename"))

    def test_long_names_come_back_or_are_told_before_any_picture_is_written(self):
        for name in ("a" * 251, "b" * 251 + ".png"):
            write(self.path(name), png(8, 8, 1, [0] * 64))
        self.elbo("compress", self.base, "b" * 251 + ".png", "a" * 251, "--out", "f.elbo", "--quiet")
        self.elbo("decompress", self.base, "f.elbo", "--out", "back", "--quiet")
        self.assertEqual(sorted(os.listdir(self.path("back"))), ["a" * 251 + ".png", "b" * 251 + ".png"])
        write(self.path("long.elbo"), renamed(read(self.path("f.elbo")), "a" * 251, "a" * 254))
        self.refused(3, "decompress", self.base, "long.elbo", "--out", "again",
                     says=("long.elbo: the name 'aaa", "makes a .png name of 258 bytes, expected at most 255; write an .npz"))
        self.assertFalse(os.path.exists(self.path("again")))
        self.elbo("decompress", self.base, "long.elbo", "--out", "again.npz", "--quiet")

    def test_what_is_written_takes_no_other_files_place(self):
        picture = png(8, 8, 1, [0] * 64)
        write(self.path("x.png"), picture)
        os.symlink("x.png", self.path("link.png"))
        self.refused(1, "compress", self.base, "x.png", "--out", "f.elbo", "--json", "./f.elbo", says="--json: './f.elbo' is what --out writes")
        self.refused(1, "compress", self.base, "x.png", "--out", "./x.png", says="--out: './x.png' is one of the images")
        self.refused(1, "compress", self.base, "x.png", "--out", "link.png", says="--out: 'link.png' is one of the images")
        self.refused(1, "compress", self.base, "x.png", "--out", "f.elbo", "--json", "x.png", says="--json: 'x.png' is one of the images")
        write(self.path("in", "0.png"), picture)
        write(self.path("in", "more", "1.png"), picture)
        for name, limit in (("in/0.png", 0), ("in/more/1.png", 0), ("in/more/1.png", 1)):
            for written in (("--out", name), ("--out", "f.elbo", "--json", name)):
                with self.subTest(written=written, limit=limit):
                    self.refused(1, "compress", self.base, "in", "--limit", limit, "--quiet", *written,
                                 says=f"{written[-2]}: '{name}' is one of the images")
        write(self.path("x.npy"), npy((1, 8, 8), "|u1", [0] * 64))
        self.refused(1, "compress", self.base, "x.npy", "--out", "x.npy", says="--out: 'x.npy' is one of the images")
        for name in ("x.png", "in/0.png", "in/more/1.png"):
            self.assertEqual(read(self.path(name)), picture)
        self.assertFalse(os.path.exists(self.path("f.elbo")))
        self.elbo("compress", self.base, "x.png", "--out", "f.npz", "--quiet")
        coded = read(self.path("f.npz"))
        self.refused(1, "decompress", self.base, "f.npz", "--out", "./f.npz", says="--out: './f.npz' is the file of codes; choose another name")
        self.assertEqual(read(self.path("f.npz")), coded)

    def test_8_bit_arrays_are_read_as_pictures_are(self):
        config = BASE.replace("type: digits", "type: digits, binarize: threshold").replace("normal, scale: 0.3", "bernoulli")
        self.elbo("train", write(self.path("b.yaml"), config), "--run", "bits", "--quiet")
        levels = [0, 127, 128, 255] * 16
        want = self.piped(png(8, 8, 1, levels), "compress", "bits", "-", "--out", "-")
        for kind, numbers in (("|u1", levels), ("|u1", [v // 128 for v in levels]), ("<f4", [v // 128 for v in levels])):
            with self.subTest(kind=kind, most=max(numbers)):
                self.assertEqual(self.piped(npy((1, 8, 8), kind, numbers), "compress", "bits", "-", "--out", "-"), want)

    def test_what_does_not_fit_is_told(self):
        write(self.path("wide.png"), png(9, 8, 1, [0] * 72))
        self.refused(3, "compress", self.base, "wide.png", says=("wide.png: 9 x 8 pixels", "a grey picture of 8 x 8 pixels; scale it"))
        write(self.path("red.png"), png(8, 8, 3, [200, 0, 0] * 64))
        self.refused(3, "compress", self.base, "red.png", says="red.png: a colour picture, and the model reads a grey picture")
        os.mkdir(self.path("empty"))
        self.refused(3, "compress", self.base, "empty", says="empty: the folder holds no .png")
        self.refused(3, "compress", self.base, "missing.png", says="missing.png: there is no such file")
        write(self.path("x.npy"), npy((2, 3), "<f4", [0.5] * 6))
        self.refused(3, "compress", self.base, "x.npy", says=("array x has the shape [2, 3]", "expected [N, 1, 8, 8]"))
        write(self.path("x.npy"), npy((1, 8, 8), "<f4", [1.5] * 64))
        self.refused(3, "compress", self.base, "x.npy", says="numbers outside of [0, 1]")
        self.refused(1, "compress", self.base, "wide.png", "split:test", says="'split:test' stands beside other images")
        self.refused(1, "compress", self.base, "split:test", "--prior", "best", says="expected auto, uniform, empirical or autoregressive")
        self.refused(1, "compress", self.base, "split:test", "--out", "-", "--json", "-", says="--json -: standard output is taken")
        self.refused(1, "compress", self.base, "split:test", "--out", "no/where.elbo", says="there is no folder")
        self.elbo("compress", self.base, "split:test", "--limit", "2", "--out", "f.elbo")
        self.refused(1, "decompress", self.base, "f.elbo", says="--out is missing")
        self.refused(1, "decompress", self.base, "f.elbo", "--out", "one.png", says="holds 2 images")
        self.refused(1, "decompress", self.base, "f.elbo", "--out", "folder", "--codes", says="let --out end in .npz")
        self.refused(1, "decompress", self.base, "f.elbo", "--out", "one.jpg", says="pictures are written as .png")
        self.refused(1, "compress", self.base, "split:nothing", says="split:nothing: got 'nothing', expected train, valid or test")
        self.refused(1, "compress", self.base, "split:test", "--out", "empty", says="'empty' is a folder; choose another name")
        self.refused(1, "sample", self.base, "--out", "no/where.png", says="there is no folder")
        self.refused(1, "reconstruct", self.base, "--out", "no/where.png", says="there is no folder")
        self.elbo("train", self.small(), "--run", "vae", "--quiet")
        self.refused(1, "compress", "vae", "split:test", says="has no codes to compress")


if __name__ == "__main__":
    main()
