"""Data files that are damaged or lie: exit 3, one message with the path, soon, in bounded memory, no run's folder made."""
import gzip
import io
import os
import shutil
import struct
import unittest
import zipfile
import zlib

from support import CliTest, main

MOST_BYTES = 1500 << 20
MOST_SECONDS = 10

CONFIG = """\
name: test/data
data: {DATA, batch_size: 16}
model:
  type: vae
  latent_size: 2
  encoder: {type: mlp, hidden: [8]}
  decoder: {type: mlp, hidden: [8]}
  likelihood: {type: normal}
objective: {type: elbo}
training: {epochs: 1}
"""
IDX = "type: idx, images: x.idx, labels: y.idx"
NPZ = "type: npz, path: x.npz"


def idx(shape, data=None, code=0x08, size=1):
    count = 1
    for extent in shape:
        count *= extent
    header = struct.pack(">HBB", 0, code, len(shape)) + b"".join(struct.pack(">I", extent) for extent in shape)
    return header + (bytes(count * size) if data is None else data)


X = idx((40, 4, 4))
Y = idx((40,))


def npy(shape=(40, 5), data=None, descr="<f4", order="False", header=None, version=b"\x01\x00"):
    text = header if header is not None else f"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape!r}, }}"
    raw = text.encode("latin-1")
    raw += b" " * (-(len(raw) + 11) % 64) + b"\n"
    length = struct.pack("<H" if version[0] == 1 else "<I", len(raw))
    if data is None:
        count = 1
        for extent in shape:
            count *= extent
        data = struct.pack("<f", 0.5) * count if descr == "<f4" else bytes(count * int(descr[2:]))
    return b"\x93NUMPY" + version + length + raw + data


def npz(arrays, compression=zipfile.ZIP_STORED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, content in arrays.items():
            archive.writestr(name, content)
    return out.getvalue()


def lying_size(size):
    """An archive whose directory says that the stored entry is larger than it is."""
    raw = bytearray(npz({"x.npy": npy()}))
    for signature, place in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        at = raw.index(signature)
        raw[at + place:at + place + 4] = struct.pack("<I", size)
    return bytes(raw)


def deflate_bomb():
    """200 MB of zeros behind the 800 bytes that the header announces."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("x.npy", "w") as entry:
            entry.write(npy(shape=(40, 5), data=b""))
            for _ in range(200):
                entry.write(bytes(1 << 20))
    return out.getvalue()


def gzip_bomb(announced):
    body = zlib.compressobj(9, zlib.DEFLATED, 31)
    out = body.compress(announced)
    for _ in range(200):
        out += body.compress(bytes(1 << 20))
    return out + body.flush()


FLOATS = struct.pack("<f", 0.5) * 200
GOOD_NPZ = npz({"x.npy": npy()})
flipped = bytearray(npz({"x.npy": npy(data=bytes(range(200)) * 4)}, zipfile.ZIP_DEFLATED))
flipped[60] ^= 0x55

# What it is, the section `data`, {file: content}, words of the message.
CASES = [
    ("idx: no file", IDX, {}, ["x.idx", "no such file"]),
    ("idx: no labels", IDX, {"x.idx": X}, ["y.idx", "no such file"]),
    ("idx: empty", IDX, {"x.idx": b"", "y.idx": Y}, ["x.idx: byte 0", "empty"]),
    ("idx: three bytes", IDX, {"x.idx": X[:3], "y.idx": Y}, ["x.idx: byte 3", "header"]),
    ("idx: ends in its header", IDX, {"x.idx": X[:9], "y.idx": Y}, ["x.idx", "header"]),
    ("idx: another format", IDX, {"x.idx": b"\x89PNG\r\n\x1a\n" + bytes(900), "y.idx": Y}, ["x.idx: byte 0", "not an IDX file"]),
    ("idx: unknown type", IDX, {"x.idx": idx((40, 4, 4), code=0x0a), "y.idx": Y}, ["x.idx: byte 2", "element type 10"]),
    ("idx: no dimensions", IDX, {"x.idx": struct.pack(">HBB", 0, 8, 0), "y.idx": Y}, ["x.idx: byte 3"]),
    ("idx: 255 dimensions", IDX, {"x.idx": struct.pack(">HBB", 0, 8, 255) + bytes(2000), "y.idx": Y}, ["x.idx: byte 3"]),
    ("idx: no rows", IDX, {"x.idx": idx((0, 4, 4)), "y.idx": idx((0,))}, ["x.idx", "no rows"]),
    ("idx: no columns", IDX, {"x.idx": idx((40, 4, 0)), "y.idx": Y}, ["x.idx"]),
    ("idx: 2^32 - 1 rows", IDX, {"x.idx": idx((0xffffffff, 28, 28), b"\0" * 99), "y.idx": Y}, ["x.idx"]),
    ("idx: extents that overflow", IDX, {"x.idx": idx((0xffffffff,) * 8, b"\0" * 99), "y.idx": Y}, ["x.idx"]),
    ("idx: one byte short", IDX, {"x.idx": X[:-1], "y.idx": Y}, ["x.idx"]),
    ("idx: one byte too many", IDX, {"x.idx": X + b"\0", "y.idx": Y}, ["x.idx"]),
    ("idx: fewer labels", IDX, {"x.idx": X, "y.idx": idx((39,))}, ["y.idx", "39 labels", "40 rows"]),
    ("idx: labels of two dimensions", IDX, {"x.idx": X, "y.idx": idx((40, 1))}, ["y.idx", "labels"]),
    ("idx: float labels", IDX, {"x.idx": X, "y.idx": idx((40,), code=0x0d, size=4)}, ["y.idx", "labels"]),
    ("idx: a label of 200", IDX, {"x.idx": X, "y.idx": idx((40,), bytes(7) + b"\xc8" + bytes(32))}, ["y.idx: byte 15", "label 200"]),
    ("idx: images swapped with labels", IDX, {"x.idx": Y, "y.idx": X}, ["x.idx"]),
    ("idx: NaN", IDX, {"x.idx": idx((40, 4), struct.pack(">f", float("nan")) * 160, 0x0d, 4), "y.idx": Y}, ["x.idx", "row 0"]),
    ("idx: gzip, cut short", IDX, {"x.idx": gzip.compress(X)[:-20], "y.idx": Y}, ["x.idx", "gzip"]),
    ("idx: gzip, one bit wrong", IDX, {"x.idx": gzip.compress(idx((40, 4, 4), os.urandom(640)))[:60] + b"\xaa" * 40, "y.idx": Y},
     ["x.idx", "gzip"]),
    ("idx: gzip, more than announced", IDX, {"x.idx": gzip_bomb(X), "y.idx": Y}, ["x.idx"]),
    ("idx: gzip, less than announced", IDX, {"x.idx": gzip.compress(idx((50000, 1000, 1000), b"\0" * 999)), "y.idx": Y}, ["x.idx"]),
    ("idx: two rows", IDX, {"x.idx": idx((2, 4, 4)), "y.idx": idx((2,))}, ["x.idx", "too few"]),
    ("idx: other test images", IDX + ", test_images: t.idx, test_labels: y.idx", {"x.idx": X, "y.idx": Y, "t.idx": idx((40, 5, 4))},
     ["t.idx", "agree"]),
    ("idx: a folder", IDX.replace("x.idx", "."), {"y.idx": Y}, ["folder"]),
    ("idx: an endless file", IDX.replace("x.idx", "/dev/zero"), {"y.idx": Y}, ["/dev/zero"]),
    ("npz: no file", NPZ, {}, ["x.npz", "no such file"]),
    ("npz: empty", NPZ, {"x.npz": b""}, ["x.npz"]),
    ("npz: no archive", NPZ, {"x.npz": os.urandom(5000)}, ["x.npz: byte 0", "not an NPZ archive"]),
    ("npz: cut short", NPZ, {"x.npz": GOOD_NPZ[:-30]}, ["x.npz"]),
    ("npz: no arrays", NPZ, {"x.npz": npz({})}, ["x.npz"]),
    ("npz: another name", NPZ, {"x.npz": npz({"data.npy": npy()})}, ["x.npz", "no array 'x'", "data"]),
    ("npz: Python objects", NPZ, {"x.npz": npz({"x.npy": npy(descr="|O", data=b"\x80\x04cos\nsystem\n")})}, ["pickled"]),
    ("npz: a structured type", NPZ, {"x.npz": npz({"x.npy": npy(header="{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (40,), }",
                                                                    data=bytes(160))})}, ["structured"]),
    ("npz: text", NPZ, {"x.npz": npz({"x.npy": npy(descr="<U4", shape=(40,), data=bytes(640))})}, ["x.npz", "<U4"]),
    ("npz: complex", NPZ, {"x.npz": npz({"x.npy": npy(descr="<c8", data=bytes(1600))})}, ["<c8"]),
    ("npz: code in the header", NPZ, {"x.npz": npz({"x.npy": npy(header="__import__('os').system('touch pwned')", data=FLOATS)})},
     ["x.npz", "malformed"]),
    ("npz: negative extents", NPZ, {"x.npz": npz({"x.npy": npy(shape=(-40, -5), data=FLOATS * 4)})}, ["x.npz", "negative"]),
    ("npz: extents that overflow", NPZ, {"x.npz": npz({"x.npy": npy(shape=(1 << 40, 1 << 40), data=FLOATS * 4)})}, ["x.npz"]),
    ("npz: a terabyte announced", NPZ, {"x.npz": npz({"x.npy": npy(shape=(1 << 30, 256), data=FLOATS * 4)})}, ["x.npz"]),
    ("npz: fewer numbers than announced", NPZ, {"x.npz": npz({"x.npy": npy(shape=(50, 5), data=FLOATS)})}, ["x.npz"]),
    ("npz: more numbers than announced", NPZ, {"x.npz": npz({"x.npy": npy(shape=(40, 4), data=FLOATS)})}, ["x.npz"]),
    ("npz: a header of 4 GB", NPZ, {"x.npz": npz({"x.npy": b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + FLOATS})}, ["x.npz", "header"]),
    ("npz: format version 9", NPZ, {"x.npz": npz({"x.npy": npy(version=b"\x09\x00")})}, ["version 9"]),
    ("npz: a directory that lies", NPZ, {"x.npz": lying_size(0xfffffff0)}, ["x.npz"]),
    ("npz: one byte wrong", NPZ, {"x.npz": bytes(flipped)}, ["x.npz"]),
    ("npz: 200 MB behind the announced", NPZ, {"x.npz": deflate_bomb()}, ["x.npz"]),
    ("npz: a scalar", NPZ, {"x.npz": npz({"x.npy": npy(shape=(), data=FLOATS[:4])})}, ["x.npz", "rows"]),
    ("npz: one dimension", NPZ, {"x.npz": npz({"x.npy": npy(shape=(200,), data=FLOATS)})}, ["x.npz", "rows"]),
    ("npz: integers", NPZ, {"x.npz": npz({"x.npy": npy(descr="<i8")})}, ["x.npz", "int64"]),
    ("npz: infinite numbers", NPZ, {"x.npz": npz({"x.npy": npy(data=struct.pack("<f", float("inf")) * 200)})}, ["row 0"]),
    ("npz: doubles beyond float32", NPZ, {"x.npz": npz({"x.npy": npy(descr="<f8", data=struct.pack("<d", 1e300) * 200)})}, ["row 0"]),
    ("npz: not in [0, 1]", NPZ + ", values: unit", {"x.npz": npz({"x.npy": npy(data=struct.pack("<f", 1.5) * 200)})}, ["[0, 1]"]),
    ("npz: not 0 or 1", NPZ + ", values: binary", {"x.npz": npz({"x.npy": npy()})}, ["0 and 1"]),
    ("npz: labels that are missing", NPZ + ", label: y", {"x.npz": npz({"x.npy": npy()})}, ["no array 'y'"]),
    ("npz: a negative label", NPZ + ", label: y", {"x.npz": npz({"x.npy": npy(), "y.npy": npy((40,), b"\xff" * 40, "|i1")})}, ["label -1"]),
]


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width=4, height=4, announced=None):
    """A grey picture; `announced` are other extents for its header."""
    header = struct.pack(">IIBBBBB", *(announced or (width, height)), 8, 0, 0, 0, 0)
    rows = (b"\0" + bytes(range(width))) * height
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")


IMAGES = "type: image_folder, path: images, size: 4, colour: grey"
TABLE = "type: table, path: t.csv, columns: [{name: a}, {name: b, type: count}]"
GOOD_IMAGES = {f"images/{i}.png": png() for i in range(20)}
GOOD_TABLE = "a,b\n" + "".join(f"{i}.5,{i}\n" for i in range(30))


def images(bad, name="images/19.png"):
    return {**GOOD_IMAGES, name: bad}


CASES += [
    ("images: no folder", IMAGES, {}, ["images", "no such folder"]),
    ("images: none", IMAGES, {"images/a.txt": b"x"}, ["images", "no PNG or JPEG"]),
    ("images: cut short", IMAGES, images(png()[:-30]), ["19.png: byte", "corrupt: skip"]),
    ("images: one byte wrong", IMAGES, images(png()[:45] + b"\xff" + png()[46:]), ["19.png: byte"]),
    ("images: a bomb", IMAGES, images(png(announced=(8000, 8000))), ["19.png: byte 16", "can't hold"]),
    ("images: a larger bomb", IMAGES, images(png(announced=(1 << 19, 1 << 19))), ["19.png: byte 16", "at most"]),
    ("images: another format", IMAGES, images(b"GIF89a" + bytes(90)), ["19.png: byte 0", "neither a PNG nor a JPEG"]),
    ("images: a JPEG of nothing", IMAGES, images(b"\xff\xd8\xff\xe0" + bytes(90), "images/x.jpg"), ["x.jpg: byte", "JPEG"]),
    ("images: empty", IMAGES, images(b""), ["19.png: byte 0"]),
    ("images: no class", IMAGES + ", labels: folders", GOOD_IMAGES, ["0.png", "no sub-folder"]),
    ("table: no file", TABLE, {}, ["t.csv", "no such file"]),
    ("table: binary", TABLE, {"t.csv": bytes(range(256))}, ["t.csv: line 1, column 1", "NUL"]),
    ("table: an open quote", TABLE, {"t.csv": (GOOD_TABLE + '"1').encode()}, ["t.csv: line 32, column 1", "never closed"]),
    ("table: a short row", TABLE, {"t.csv": (GOOD_TABLE + "1\n").encode()}, ["t.csv: line 32, column 2 ('b')"]),
    ("table: a word", TABLE, {"t.csv": (GOOD_TABLE + "1,two\n").encode()}, ["t.csv: line 32, column 2 ('b')", "'two'"]),
    ("table: half a count", TABLE, {"t.csv": (GOOD_TABLE + "1,2.5\n").encode()}, ["line 32, column 2", "no count"]),
    ("table: another header", TABLE, {"t.csv": b"x,y\n1,2\n3,4\n5,6\n"}, ["t.csv: line 1", "no column 'a'"]),
    ("table: a gzip bomb", TABLE.replace("t.csv", "t.csv.gz"), {"t.csv.gz": gzip_bomb(GOOD_TABLE.encode())}, ["t.csv.gz: line 32"]),
    ("table: pickled", TABLE.replace("t.csv", "t.npy"), {"t.npy": npy(descr="|O", data=b"\x80\x04cos\nsystem\n")}, ["t.npy", "pickled"]),
    ("table: another width", TABLE.replace("t.csv", "t.npy"), {"t.npy": npy()}, ["t.npy", "names 2 columns"]),
]


class HostileData(CliTest):
    def test_each_is_refused(self):
        self.assertGreaterEqual(len(CASES), 30)
        for what, section, files, says in CASES:
            with self.subTest(what):
                config = self.small(CONFIG.replace("DATA", section), "config.yaml")
                data = self.path("data")
                os.makedirs(data, exist_ok=True)
                shutil.rmtree(data)
                os.makedirs(data)
                for name, content in files.items():
                    os.makedirs(os.path.dirname(os.path.join(data, name)), exist_ok=True)
                    with open(os.path.join(data, name), "wb") as file:
                        file.write(content)
                result = self.refused(3, "train", config, "--quiet", says=says, timeout=60)
                self.assertLess(result.max_rss_bytes, MOST_BYTES, f"{result.max_rss_bytes >> 20} MB")
                self.assertLess(result.seconds, MOST_SECONDS)
                self.assertLess(len(result.err), 2000)
                self.assertEqual(sorted(os.listdir(self.folder)), ["config.yaml", "data"])

    def test_two_arrays_of_one_name(self):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr("x.npy", npy())
            archive.writestr("y.npy", npy())
        os.mkdir(self.path("data"))
        with open(self.path("data", "x.npz"), "wb") as file:
            file.write(out.getvalue().replace(b"y.npy", b"x.npy"))
        self.refused(3, "train", self.small(CONFIG.replace("DATA", NPZ)), says=["x.npz", "'x'"])

    def test_good_files_train(self):
        """The cases above are refused for what is wrong with them, not for what they share."""
        os.mkdir(self.path("data"))
        pixels = bytes(i * 37 % 256 for i in range(640))
        os.mkdir(self.path("data", "images"))
        for name, content in (*GOOD_IMAGES.items(), ("x.idx", idx((40, 4, 4), pixels)), ("y.idx", Y), ("x.npz", GOOD_NPZ),
                              ("z.npz", npz({"x.npy": npy(), "y.npy": npy((40,), bytes(40), "|i1")}, zipfile.ZIP_DEFLATED))):
            with open(self.path("data", name), "wb") as file:
                file.write(content)
        for i, section in enumerate((IDX, NPZ, NPZ.replace("x.npz", "z.npz") + ", label: y", IDX.replace(", labels: y.idx", ""), IMAGES)):
            with self.subTest(section):
                self.elbo("train", self.small(CONFIG.replace("DATA", section)), "--run", f"run{i}", "--quiet")


if __name__ == "__main__":
    main()
