"""Config files that mean harm or make no sense: exit 2, one message with file and line, soon, in bounded memory, no folder made."""
import os
import unittest

from support import SMALL, CliTest, main

MOST_BYTES = 1500 << 20
MOST_SECONDS = 10


def change(old, new):
    assert old in SMALL, old
    return SMALL.replace(old, new)


def bomb(width=10, depth=12):
    lines = ["a0: &a0 [" + ", ".join(["lol"] * width) + "]"]
    for i in range(1, depth):
        lines.append(f"a{i}: &a{i} [" + ", ".join([f"*a{i - 1}"] * width) + "]")
    return "\n".join(lines) + "\n"


def name(text):
    return change("name: test/small", "name: " + text)


# What it is, the file, words of the message. "LINE" stands for config.yaml:NUMBER.
CASES = [
    ("alias bomb", bomb(), "counting what aliases repeat"),
    ("alias bomb of texts", "a: &a " + "x" * 900_000 + "\nb: [*a, *a, *a, *a, *a, *a]\n", "bytes of text"),
    ("an alias within what it names", "a: &a [1, *a]\n", "alias"),
    ("an alias of nothing", "name: *nothing\n", "config.yaml:1"),
    ("deep lists", "a: " + "[" * 100_000 + "\n", "config.yaml:1"),
    ("deep blocks of lists", "- " * 5_000 + "1\n", "nested deeper"),
    ("deep maps", "a: " + "{a: " * 5_000 + "\n", "nested deeper"),
    ("deep blocks", "\n".join(" " * i + "a:" for i in range(500)) + "\n", "nested deeper"),
    ("two mebibytes", SMALL + "#" * (2 << 20), "bytes"),
    ("20,000 values", "a: [" + "1, " * 20_000 + "1]\n", "10000 values"),
    ("a key twice", SMALL + "seed: 4\n", ["config.yaml:13: seed: given twice", "first on line 2"]),
    ("a nested key twice", change("latent_size: 4", "latent_size: 4\n  latent_size: 5"), ["config.yaml:7: model.latent_size", "line 6"]),
    ("several documents", SMALL + "---\n" + SMALL, ["config.yaml:13", "second document"]),
    ("a merge", change("objective: {type: elbo}", "objective: {<<: {type: elbo}}"), ["config.yaml:9", "'<<'"]),
    ("a tag", change("seed: 3", "seed: !!python/object:os.system 3"), ["config.yaml:2", "tag"]),
    ("a local tag", change("seed: 3", "seed: !include other.yaml"), ["config.yaml:2", "tag"]),
    ("a NUL", SMALL.replace("seed: 3", "seed: 3\0"), "config.yaml:2"),
    ("an escaped NUL", name('"a\\0b"'), "config.yaml:1"),
    ("not UTF-8", SMALL.encode().replace(b"seed: 3", b"seed: \xff3"), ["config.yaml:2", "UTF-8"]),
    ("UTF-16", SMALL.encode("utf-16"), "UTF-8"),
    ("an overlong encoding", SMALL.encode().replace(b"seed: 3", b"seed: \xc0\xaf"), ["config.yaml:2", "UTF-8"]),
    ("bytes of noise", bytes((i * 197 + 13) % 256 for i in range(4096)), "config.yaml"),
    ("nothing", "", "nothing in it"),
    ("a list", "[1, 2, 3]\n", "config.yaml"),
    ("a scalar", "hello\n", "config.yaml"),
    ("an open quote", change("name: test/small", 'name: "test'), "config.yaml"),
    ("an open brace", change("objective: {type: elbo}", "objective: {type: elbo"), "config.yaml"),
    ("tabs", change("  latent_size: 4", "\tlatent_size: 4"), ["config.yaml:6", "tab"]),
    ("a map as a key", SMALL + "? {a: b}\n: c\n", "config.yaml:13"),
    ("a key of a megabyte", "? " + "k" * 500_000 + "\n: 1\n" + SMALL, ["config.yaml:1", "a key has 500000 bytes"]),
    ("4,000 unknown keys", SMALL + "".join(f"k{i}: 1\n" for i in range(4000)), ["unknown key", "more", "4,000 problems"]),
    ("a name that climbs", name("../../etc/cron.d/x"), ["config.yaml:1: name", "stay below"]),
    ("a name that climbs inside", name("a/../../b"), ["config.yaml:1: name", "stay below"]),
    ("an absolute name", name("/tmp/x"), ["config.yaml:1: name", "stay below"]),
    ("a name of dots", name('".."'), "config.yaml:1: name"),
    ("a name with a newline", name('"a\\nb"'), "config.yaml:1: name"),
    ("a name with an escape sequence", name('"a\\e[31mb"'), "config.yaml:1: name"),
    ("a name of a megabyte", name("n" * 900_000), "config.yaml:1: name"),
    ("no name", name('""'), "config.yaml:1: name"),
    ("a name that is a list", name("[a, b]"), "config.yaml:1: name"),
    ("a map for a number", change("latent_size: 4", "latent_size: {a: 4}"), "config.yaml:6: model.latent_size"),
    ("text for a number", change("latent_size: 4", "latent_size: four"), "config.yaml:6: model.latent_size"),
    ("a fraction for a count", change("latent_size: 4", "latent_size: 4.5"), "config.yaml:6: model.latent_size"),
    ("an octal number", change("seed: 3", "seed: 0o17"), "config.yaml:2: seed"),
    ("a hexadecimal number", change("seed: 3", "seed: 0x10"), "config.yaml:2: seed"),
    ("not a number", change("learning_rate: 1e-2", "learning_rate: .nan"), "config.yaml:10: optimizer.learning_rate"),
    ("infinity", change("learning_rate: 1e-2", "learning_rate: 1e999"), "config.yaml:10: optimizer.learning_rate"),
    ("yes for true", change("log_every_steps: 5", "deterministic: yes"), "config.yaml:11: training.deterministic"),
    ("a number out of 64 bits", change("seed: 3", "seed: 99999999999999999999"), "config.yaml:2: seed"),
    ("a negative size", change("latent_size: 4", "latent_size: -4"), "config.yaml:6: model.latent_size"),
    ("no latents", change("latent_size: 4", "latent_size: 0"), "config.yaml:6: model.latent_size"),
    ("a negative learning rate", change("learning_rate: 1e-2", "learning_rate: -1"), "config.yaml:10: optimizer.learning_rate"),
    ("a negative start of a schedule", change("learning_rate: 1e-2", "learning_rate: {type: linear, from: -1, to: 1}"),
     "config.yaml:10: optimizer.learning_rate.from"),
    ("an unknown component", change("{type: elbo}", "{type: elbow}"), ["config.yaml:9: objective.type", "did you mean 'elbo'"]),
    ("a component without its map", change("{type: elbo}", "elbo"), "config.yaml:9: objective"),
    ("a list for a section", change("{epochs: 2, log_every_steps: 5}", "[1, 2]"), "config.yaml:11: training"),
    ("2^20 latents, 10^9 hidden units", change("latent_size: 4", "latent_size: 1e6").replace("hidden: [24]", "hidden: [1e9]"),
     "config.yaml:7: model.encoder.hidden[0]"),
    ("weights of four terabytes", change("latent_size: 4", "latent_size: 1048576").replace("hidden: [24]", "hidden: [1048576]"),
     "this machine has"),
    ("a hundred weights of 40 GB", change("hidden: [24]", "hidden: [" + ", ".join(["100000"] * 100) + "]"), "this machine has"),
    ("10,000 hidden layers", change("hidden: [24]", "hidden: [" + ", ".join(["4"] * 10_000) + "]"), ["config.yaml:7", "10000 values"]),
    ("4,000 wide hidden layers", change("hidden: [24]", "hidden: [" + ", ".join(["1048576"] * 4_000) + "]"), "this machine has"),
    ("a huge batch", change("batch_size: 100", "batch_size: 99999999999"), "config.yaml:3: data.batch_size"),
    ("a huge number of samples", change("{type: elbo}", "{type: iwae, samples: 1e12}"), "config.yaml:9: objective.samples"),
    ("a huge mixture", change("latent_size: 4", "latent_size: 4\n  prior: {type: mixture, components: 1e12}"), "mixture prior"),
    ("a data file out of nowhere", change("type: digits", "type: npz, path: ../../../../dev/zero"), ""),
]


class HostileConfig(CliTest):
    def test_each_is_refused(self):
        self.assertGreaterEqual(len(CASES), 30)
        for what, content, says in CASES:
            with self.subTest(what):
                config = self.small(content, "config.yaml")
                # "a data file out of nowhere" is a DataError; all others are ConfigErrors.
                code = 3 if "data file" in what else 2
                result = self.refused(code, "train", config, says=says, timeout=60)
                self.assertLess(result.max_rss_bytes, MOST_BYTES, f"{result.max_rss_bytes >> 20} MB")
                self.assertLess(result.seconds, MOST_SECONDS)
                self.assertLess(len(result.err), 20_000)
                self.assertNotIn("\0", result.err)
                self.assertNotIn("\x1b", result.err)
                self.assertEqual(os.listdir(self.folder), ["config.yaml"])

    def test_files_that_are_no_files(self):
        os.mkdir(self.path("folder.yaml"))
        os.mkfifo(self.path("pipe.yaml"))
        os.symlink("loop.yaml", self.path("loop.yaml"))
        for path in (self.path("folder.yaml"), self.path("pipe.yaml"), self.path("loop.yaml"), "/dev/zero", "/dev/stdin", "\n"):
            with self.subTest(path):
                self.refused(2, "train", path, timeout=20)
        self.assertEqual(sorted(os.listdir(self.folder)), ["folder.yaml", "loop.yaml", "pipe.yaml"])

    def test_hostile_overrides(self):
        config = self.small()
        for text in ("=", "=1", "a=", "model=3", "model.latent_size.deeper=1", "name=../x", "model.encoder.hidden.9999999999=3",
                     "objective=[" + "[" * 5000, "objective={type: iwae, type: elbo}", "a" * 5000 + "=1", "seed=3\n---\nseed=4",
                     ".=1", "..=1", "model..latent_size=3", "seed=*a", "seed=!!int 3"):
            with self.subTest(text[:40]):
                self.refused(2, "train", config, "--set", text)
        self.assertEqual(os.listdir(self.folder), ["small.yaml"])


if __name__ == "__main__":
    main()
