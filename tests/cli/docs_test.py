"""The pages hold together: links lead somewhere, commands and options in them exist, configs in them are valid."""
import glob
import os
import re
import unittest

from support import SOURCE, CliTest, elbo, main, read, write

PAGES = sorted(glob.glob(os.path.join(SOURCE, "docs", "*.md"))) + [os.path.join(SOURCE, "README.md")]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)


def text_of(path):
    return read(path).decode()


def anchors(path):
    """As GitHub makes them of headings."""
    names = re.findall(r"^#+ (.*)$", BLOCK.sub("", text_of(path)), re.M)
    return {re.sub(r"[^\w\- ]", "", name.lower()).replace(" ", "-") for name in names}


def commands():
    """(page, words) of each `elbo ...` in a block or in code within a line."""
    for path in PAGES:
        text = text_of(path)
        lines = [line for kind, block in BLOCK.findall(text) if kind == "" for line in block.splitlines()]
        code = [part for line in lines for part in re.split(r"\s{2,}(?=elbo )", line)]  # two commands beside each other
        code += re.findall(r"`([^`\n]+)`", BLOCK.sub("", text))
        for line in code:
            found = re.match(r"(?:\$ )?(?:build/release/)?elbo ((?:[a-z-]+)\b.*)$", line)
            if found and not found.group(1).startswith("--"):
                yield os.path.basename(path), found.group(1).split("#")[0].split()


class Docs(CliTest):
    def test_links_lead_somewhere(self):
        for path in PAGES:
            for target in re.findall(r"\]\(([^)\s]+)\)", BLOCK.sub("", text_of(path))):
                if "://" in target:
                    continue
                file, _, anchor = target.partition("#")
                full = os.path.normpath(os.path.join(os.path.dirname(path), file)) if file else path
                with self.subTest(f"{os.path.basename(path)}: {target}"):
                    self.assertTrue(os.path.exists(full))
                    if anchor:
                        self.assertIn(anchor, anchors(full))

    def test_the_readme_leads_to_every_page(self):
        readme = text_of(os.path.join(SOURCE, "README.md"))
        missing = [os.path.basename(path) for path in PAGES[:-1] if f"(docs/{os.path.basename(path)})" not in readme]
        self.assertEqual(missing, [])

    def test_commands_and_options_exist(self):
        help_of, seen = {}, 0
        known = re.findall(r"^  ([a-z-]+) +\S", self.elbo("--help").out, re.M)
        for page, words in commands():
            with self.subTest(f"{page}: elbo {' '.join(words)}"):
                command = words[0].rstrip(",.;:")
                self.assertIn(command, known + ["version"])
                if command == "version":
                    continue
                if command not in help_of:
                    help_of[command] = elbo(command, "--help").out
                for option in re.findall(r"(?<![\w-])--([a-z][a-z-]*)", " ".join(words)):
                    self.assertRegex(help_of[command], rf"--{option}\b")
                if command == "describe" and len(words) == 2 and re.fullmatch(r"[a-z_]+(/[a-z_0-9]+)?", words[1]) and "my_bound" not in words[1]:
                    self.elbo("describe", words[1])
                seen += 1
        self.assertGreater(seen, 20)

    def test_configs_are_valid(self):
        seen = 0
        for path in PAGES:
            for number, (kind, block) in enumerate(BLOCK.findall(text_of(path))):
                if kind == "yaml" and re.search(r"^name:", block, re.M) and "…" not in block:
                    with self.subTest(f"{os.path.basename(path)}, block {number}"):
                        self.elbo("config", write(self.path("block.yaml"), block))
                        seen += 1
        self.assertGreater(seen, 0)


if __name__ == "__main__":
    main()
