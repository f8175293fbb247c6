"""JPEG files made without any library: baseline, 4:2:0, random coefficients coded by the standard's example tables."""
import random
import struct

# ITU-T T.81, annex K.3.
DC = ([0, 1, 5, 1, 1, 1, 1, 1, 1], list(range(12)))
AC = ([0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125],
      [0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22, 0x71])


def codes(table):
    """Symbol -> its code as text of bits."""
    out, code, at = {}, 0, 0
    for length, count in enumerate(table[0], 1):
        for _ in range(count):
            if at < len(table[1]):
                out[table[1][at]] = format(code, f"0{length}b")
            code, at = code + 1, at + 1
        code <<= 1
    return out


def magnitude(value):
    size = abs(value).bit_length()
    return size, format(value if value > 0 else value + (1 << size) - 1, f"0{size}b") if size else ""


def segment(marker, data):
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(data) + 2) + data


def huffman(kind, table):
    lengths, symbols = table
    rest = sum(lengths) - len(symbols)  # codes that our pictures never use still belong to the table
    filler = [s for s in range(256) if s not in symbols][:rest]
    return segment(0xc4, bytes([kind]) + bytes(lengths + [0] * (16 - len(lengths))) + bytes(symbols + filler))


class Pictures:
    """An endless series of different pictures of the same size, a multiple of 16."""

    def __init__(self, size=64, seed=0):
        self.random, self.size = random.Random(seed), size
        self.dc, ac = codes(DC), codes(AC)
        self.blocks = []  # codes of all but the first coefficient
        for _ in range(500):
            bits = ""
            for _ in range(self.random.choice((3, 6, 10, 16))):
                count, value = magnitude(self.random.choice((-5, -3, -2, -1, 1, 2, 3, 5)))
                bits += ac[count] + value
            self.blocks.append(bits + ac[0])
        quantiser = segment(0xdb, b"\0" + bytes([16] + [12 + 2 * i // 3 for i in range(63)]))
        frame = segment(0xc0, struct.pack(">BHHB", 8, size, size, 3) + bytes([1, 0x22, 0, 2, 0x11, 0, 3, 0x11, 0]))
        scan = segment(0xda, bytes([3, 1, 0, 2, 0, 3, 0, 0, 63, 0]))
        self.start = b"\xff\xd8" + quantiser + frame + huffman(0, DC) + huffman(0x10, AC) + scan

    def block(self, last, component):
        value = self.random.randint(-40, 40)
        count, bits = magnitude(value - last[component])
        last[component] = value
        return self.dc[count] + bits + self.random.choice(self.blocks)

    def next(self):
        last = [0, 0, 0]
        bits = "".join(self.block(last, component) for _ in range((self.size // 16) ** 2) for component in (0, 0, 0, 0, 1, 2))
        bits += "1" * (-len(bits) % 8)
        data = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
        return self.start + data + b"\xff\xd9"


def write_folder(folder, count, size=64, seed=0):
    """COUNT pictures as FOLDER/CLASS/NUMBER.jpg, in ten classes."""
    import os
    pictures = Pictures(size, seed)
    for i in range(10):
        os.makedirs(os.path.join(folder, f"class{i}"), exist_ok=True)
    for i in range(count):
        with open(os.path.join(folder, f"class{i % 10}", f"{i:06}.jpg"), "wb") as file:
            file.write(pictures.next())
