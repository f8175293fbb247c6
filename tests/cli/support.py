"""What the tests of the program share: running it, small experiments, and looking into a run's folder. Standard library only."""
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import zlib

PROGRAM = os.environ.get("ELBO_PROGRAM", "")
SOURCE = os.environ.get("ELBO_SOURCE_DIR", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
SKIPPED = 77  # what ctest takes as "skipped"

SMALL = """\
name: test/small
seed: 3
data: {type: digits, binarize: dynamic, batch_size: 100}
model:
  type: vae
  latent_size: 4
  encoder: {type: mlp, hidden: [24], activation: tanh}
  decoder: {type: mlp, hidden: [24], activation: tanh}
objective: {type: elbo}
optimizer: {type: adam, learning_rate: 1e-2}
training: {epochs: 2, log_every_steps: 5}
evaluation: {metrics: [elbo], samples: 20, pictures: 9}
"""


class Result:
    """How one call of the program ended."""

    def __init__(self, code, out, err, max_rss_bytes=0, seconds=0.0):
        self.code, self.out, self.err = code, out, err
        self.max_rss_bytes, self.seconds = max_rss_bytes, seconds

    @property
    def errors(self):
        return [line for line in self.err.splitlines() if line.startswith("error: ")]

    def __repr__(self):
        return f"exit {self.code}\n--- out\n{self.out}\n--- err\n{self.err}"


def environment(**changes):
    """The test's own, without what would change results."""
    clean = {key: value for key, value in os.environ.items() if key != "ELBO_DATA_ROOT"}
    return {**clean, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", **changes}


def start(*args, cwd=None, env=None, prefix=(), **options):
    """The program, running: a Popen."""
    return subprocess.Popen([*prefix, PROGRAM, *map(str, args)], cwd=cwd, env=environment(**(env or {})), stdin=subprocess.DEVNULL,
                            **options)


# What must never be seen, whatever goes wrong.
CRASHES = ("terminate called", "Segmentation", "Exception raised from", "frame #", "backtrace", "what():", "AddressSanitizer",
           "Assertion", "INTERNAL ASSERT", "core dumped", "std::")


def elbo(*args, check_code=0, timeout=120, **options):
    """Runs the program to its end and holds it to an exit code (None: any but a crash)."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        begin = time.monotonic()
        process = start(*args, stdout=out, stderr=err, **options)
        usage = None
        try:
            while True:
                pid, status, usage = os.wait4(process.pid, os.WNOHANG)
                if pid:
                    process.returncode = os.waitstatus_to_exitcode(status)
                    break
                if time.monotonic() - begin > timeout:
                    raise AssertionError(f"elbo {' '.join(map(str, args))}: still running after {timeout} s")
                time.sleep(0.005)
        finally:
            if process.returncode is None:
                process.kill()
                process.wait()
        seconds = time.monotonic() - begin
        out.seek(0)
        err.seek(0)
        result = Result(process.returncode, out.read().decode("utf-8", "replace"), err.read().decode("utf-8", "replace"),
                        usage.ru_maxrss * 1024, seconds)
    command = "elbo " + " ".join(map(str, args))
    if result.code < 0:
        raise AssertionError(f"{command}: killed by signal {-result.code}\n{result}")
    for mark in CRASHES:
        if mark in result.err or mark in result.out:
            raise AssertionError(f"{command}: '{mark}' on the terminal\n{result}")
    if check_code is not None and result.code != check_code:
        raise AssertionError(f"{command}: expected exit {check_code}\n{result}")
    return result


def write(path, content):
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


def read(path):
    with open(path, "rb") as file:
        return file.read()


def files_below(folder):
    """Every file, link and empty folder, hidden ones too, relative."""
    found = []
    for base, folders, names in os.walk(folder):
        found += [os.path.relpath(os.path.join(base, name), folder) for name in names]
        for name in folders:
            path = os.path.join(base, name)
            if os.path.islink(path) or not os.listdir(path):
                found.append(os.path.relpath(path, folder))
    return sorted(found)


def half_written(folder):
    """Temporary files and folders that were left behind."""
    return [path for path in files_below(folder) if ".tmp" in path]


# What differs between two runs that computed the same.
TIMING = re.compile(r"seconds|per_second|_time|rate$|memory")


def metrics_of(run):
    """metrics.jsonl without the fields that measure time."""
    lines = [json.loads(line) for line in read(os.path.join(run, "metrics.jsonl")).decode().splitlines()]
    return [{key: value for key, value in line.items() if not TIMING.search(key)} for line in lines]


def last_checkpoint(run):
    return os.path.realpath(os.path.join(run, "checkpoints", "last"))


def tensors_of(run):
    folder = last_checkpoint(run)
    return {name: read(os.path.join(folder, name)) for name in ("model.safetensors", "training.safetensors")}


def checkpoint_steps(run):
    folder = os.path.join(run, "checkpoints")
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return sorted(int(name[5:]) for name in names if re.fullmatch(r"step-\d+", name))


def is_png(path):
    """Whole: signature, chunk checksums, end."""
    data = read(path)
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        return False
    place, kind = 8, b""
    while place < len(data):
        length, kind = int.from_bytes(data[place:place + 4], "big"), data[place + 4:place + 8]
        body = data[place + 4:place + 8 + length]
        if zlib.crc32(body) != int.from_bytes(data[place + 8 + length:place + 12 + length], "big"):
            return False
        place += 12 + length
    return kind == b"IEND" and place == len(data)


class CliTest(unittest.TestCase):
    """A scratch folder a test, in which the program runs."""

    maxDiff = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="elbo-test-", ignore_cleanup_errors=True)
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def elbo(self, *args, **options):
        return elbo(*args, **{"cwd": self.folder, **options})

    def small(self, text=SMALL, name="small.yaml"):
        return write(self.path(name), text)

    def train(self, run="run", *args, config=None, **options):
        """Trains the small experiment into self.path(run)."""
        self.elbo("train", config or self.small(), "--run", self.path(run), "--quiet", *args, **options)
        return self.path(run)

    def refused(self, code, *args, says=(), **options):
        """The program ends with this code and exactly one message, which says all of `says`."""
        result = self.elbo(*args, check_code=code, **options)
        self.assertEqual(len(result.errors), 1, result)
        self.assertTrue(result.err.startswith("error: "), result)
        self.assertEqual(result.out, "", result)
        for words in [says] if isinstance(says, str) else says:
            self.assertIn(words, result.err, result)
        return result


def main():
    """unittest.main that tells ctest when everything was skipped."""
    if not PROGRAM or not os.path.exists(PROGRAM):
        print(f"skipped: there is no program at ELBO_PROGRAM='{PROGRAM}'")
        sys.exit(SKIPPED)
    program = unittest.main(exit=False, verbosity=2)
    result = program.result
    if not result.wasSuccessful():
        sys.exit(1)
    sys.exit(SKIPPED if result.testsRun > 0 and len(result.skipped) == result.testsRun else 0)
