"""A folder of images trained from the command line: the same bits whatever the threads and after a kill, damaged files, and (slow, with
ELBO_PICTURES=full) the rate and the memory of 20,000 pictures against the same number of pictures in memory."""
import os
import signal
import statistics
import struct
import subprocess
import time
import unittest
import zipfile

from pictures import write_folder
from support import CliTest, checkpoint_steps, main, metrics_of, start, tensors_of, write

FULL = os.environ.get("ELBO_PICTURES") == "full"

CONFIG = """\
name: test/pictures
seed: 5
data: {DATA, batch_size: 32}
model:
  type: vae
  latent_size: 4
  encoder: {type: conv, channels: [8, 16], hidden: 16}
  decoder: {type: conv, channels: [8, 16], hidden: 16}
  likelihood: {type: normal}
objective: {type: elbo}
training: {epochs: 2, log_every_steps: 5, checkpoint: {every_steps: 3, keep: 2}}
"""
SMALL = "type: image_folder, path: pictures, size: 16, flip: true, labels: folders"


class ImageFolder(CliTest):
    def setUp(self):
        super().setUp()
        write_folder(self.path("data", "pictures"), 200, size=32)

    def run_of(self, name, section, *args):
        self.elbo("train", self.small(CONFIG.replace("DATA", section), name + ".yaml"), "--run", self.path(name), "--quiet", *args)
        return self.path(name)

    def test_threads_cache_and_kills_leave_the_same_bits(self):
        whole = self.run_of("whole", SMALL + ", workers: 1, cache_bytes: 0")
        for name, options in (("many", ", workers: 5"), ("some", ", workers: 2, cache_bytes: 50000")):
            run = self.run_of(name, SMALL + options)
            self.assertEqual(tensors_of(run), tensors_of(whole))
            self.assertEqual(metrics_of(run), metrics_of(whole))
        config = self.small(CONFIG.replace("DATA", SMALL + ", workers: 1, cache_bytes: 0"), "killed.yaml")
        process = start("train", config, "--run", self.path("killed"), "--quiet", cwd=self.folder, stderr=subprocess.DEVNULL)
        while process.poll() is None and not checkpoint_steps(self.path("killed")):
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.elbo("train", config, "--run", self.path("killed"), "--resume", "--quiet")
        self.assertEqual(tensors_of(self.path("killed")), tensors_of(whole))

    def test_damaged_files_stop_or_are_named_and_skipped(self):
        damaged = range(3, 200, 17)  # some in every split
        for i in damaged:
            path = self.path("data", "pictures", f"class{i % 10}", f"{i:06}.jpg")
            with open(path, "rb") as file:
                content = file.read()
            write(path, content[:-40])
        self.refused(3, "train", self.small(CONFIG.replace("DATA", SMALL)), "--run", self.path("stopped"), "--quiet",
                     says=[".jpg: byte ", "at row ", "corrupt: skip"])
        config = self.small(CONFIG.replace("DATA", SMALL + ", corrupt: skip"), "skip.yaml")
        result = self.elbo("train", config, "--run", self.path("skipped"))
        named = [result.err.count(f"class{i % 10}/{i:06}.jpg: byte ") for i in damaged]
        self.assertLessEqual(max(named), 1, result)
        self.assertGreaterEqual(sum(named), 8, result)  # those of the test split aren't read
        self.elbo("evaluate", self.path("skipped"), "--split", "test")


def write_npz(path, count, size):
    """Bytes as random as the pictures of the folder: [count, 3, size, size] under the name x."""
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({count}, 3, {size}, {size}), }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive, archive.open("x.npy", "w") as entry:
        entry.write(b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode())
        for _ in range(count):
            entry.write(os.urandom(3 * size * size))


@unittest.skipUnless(FULL, "minutes long: ELBO_PICTURES=full")
class TwentyThousand(CliTest):
    MODEL = CONFIG.replace("channels: [8, 16]", "channels: [32, 32, 64, 64]").replace("hidden: 16", "hidden: 256").replace(
        "batch_size: 32", "batch_size: 64").replace("epochs: 2, log_every_steps: 5, checkpoint: {every_steps: 3, keep: 2}",
                                                    "steps: 320, log_every_steps: 20")

    def test_rate_and_memory(self):
        """Rates are of the log's lines after the first, runs alternate; memory is what the system counted, less a run's of ten batches
        of the same pictures in memory."""
        write_folder(self.path("data", "pictures"), 20000)
        write_npz(self.path("data", "x.npz"), 20000, 64)
        write_npz(self.path("data", "few.npz"), 800, 64)
        kinds = {"memory": "type: npz, path: x.npz, values: unit", "cached": "type: image_folder, path: pictures",
                 "uncached": "type: image_folder, path: pictures, cache_bytes: 0",
                 "base": "type: npz, path: few.npz, values: unit"}
        rates, peaks = {kind: [] for kind in kinds}, {kind: 0 for kind in kinds}
        for turn in range(3):
            for kind, section in kinds.items():
                run = self.path(f"{kind}{turn}")
                result = self.elbo("train", self.small(self.MODEL.replace("DATA", section), kind + ".yaml"), "--run", run, "--quiet",
                                   timeout=1200)
                peaks[kind] = max(peaks[kind], result.max_rss_bytes)
                with open(os.path.join(run, "metrics.jsonl"), encoding="utf-8") as lines:
                    seen = [float(part.split(",")[0].rstrip("}\n")) for line in lines for part in line.split('"examples_per_second":')[1:]]
                rates[kind] += seen[1:]
        middle = {kind: statistics.median(values) for kind, values in rates.items()}
        for kind in kinds:
            print(f"{kind}: {middle[kind]:.0f} images/s, {peaks[kind] >> 20} MB")
        for kind in ("cached", "uncached"):
            self.assertGreaterEqual(middle[kind] / middle["memory"], 0.9, kind)
            self.assertLessEqual(peaks[kind] - peaks["base"], 512 << 20, kind)


if __name__ == "__main__":
    main()
