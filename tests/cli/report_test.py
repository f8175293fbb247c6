"""elbo report: one page that holds the numbers, asks for nothing from outside, and copes with what is missing or broken."""
import html.parser
import json
import os
import shutil
import tempfile

from support import SMALL, CliTest, elbo, last_checkpoint, main, read, write

VOID = {"meta", "img", "br"}


class Page(html.parser.HTMLParser):
    """What stands in a page: balance of its tags, addresses, ids, text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.problems, self.addresses, self.ids, self.tags, self.images = [], [], [], [], set(), []
        self.text = ""
        self.feed(text)
        self.close()
        self.problems += [f"<{tag}> is never closed" for tag in self.open]

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        for name, value in attrs:
            if name in ("src", "href", "srcset", "xlink:href", "action", "data"):
                self.addresses.append(value)
            if name == "id":
                self.ids.append(value)
        if tag == "img":
            self.images.append(dict(attrs))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> at {self.getpos()}")

    def handle_data(self, data):
        self.text += data


class Report(CliTest):
    @classmethod
    def setUpClass(cls):
        cls.shared = tempfile.TemporaryDirectory(prefix="elbo-test-")
        cls.runs = []
        for name, extra in (("plain", ()), ("strong", ("--set", "objective.beta=4", "--set", "name=test/strong"))):
            run = os.path.join(cls.shared.name, name)
            config = write(os.path.join(cls.shared.name, "small.yaml"), SMALL)
            elbo("train", config, "--run", run, "--quiet", *extra)
            cls.runs.append(run)
        elbo("evaluate", cls.runs[0], "--quiet", "--json", os.path.join(cls.runs[0], "evaluation.json"))

    @classmethod
    def tearDownClass(cls):
        cls.shared.cleanup()

    def page(self, *runs, **options):
        self.elbo("report", *runs, "--out", "page.html", **options)
        text = read(self.path("page.html")).decode("utf-8")
        page = Page(text)
        self.assertEqual(page.problems, [])
        self.assertEqual(len(page.ids), len(set(page.ids)))
        self.assertNotIn("script", page.tags)
        for address in page.addresses:
            self.assertRegex(address, r"^(#|data:image/png;base64,)")
        self.assertNotRegex(text, r"url\((?!#)|@import|https?:")
        for image in page.images:
            self.assertTrue(image["alt"])
            self.assertGreater(int(image["width"]), 0)
        return page

    def copy(self, name="copy"):
        shutil.copytree(self.runs[0], self.path(name), symlinks=True)
        return self.path(name)

    def test_holds_the_numbers_of_a_run(self):
        page = self.page(self.runs[0])
        metrics = json.loads(read(os.path.join(self.runs[0], "evaluation.json")))["metrics"]
        self.assertIn(f"{metrics['elbo_nats']:.6g}", page.text)
        last = [json.loads(line) for line in read(os.path.join(self.runs[0], "metrics.jsonl")).decode().splitlines()]
        last = [line for line in last if line["split"] == "valid" and "bound" in line][-1]
        self.assertIn(f"{last['bound']:.6g}", page.text)
        for words in ("test/small", "objective.beta", "evaluation.json", "Traversals", "How the samples developed", "units active"):
            self.assertIn(words, page.text)
        self.assertIn("curves", page.ids)
        self.assertGreaterEqual(len(page.images), 3)

    def test_is_written_into_the_run_by_default(self):
        run = self.copy()
        self.elbo("report", run, "--no-traversals")
        self.assertTrue(os.path.getsize(os.path.join(run, "report.html")) > 1000)
        self.elbo("report", *self.runs, "--no-traversals")
        self.assertTrue(os.path.exists(self.path("report.html")))

    def test_puts_runs_side_by_side(self):
        page = self.page(*self.runs)
        self.assertIn("2 runs side by side", page.text)
        for words in ("≠ objective.beta", "≠ name", "2 keys that differ", "test/strong"):
            self.assertIn(words, page.text)

    def test_runs_of_one_name_are_told_apart(self):
        page = self.page(self.runs[0], self.copy("again"))
        self.assertIn("test/small (plain)", page.text)
        self.assertIn("test/small (again)", page.text)

    def test_takes_a_checkpoint_alone(self):
        shutil.copytree(last_checkpoint(self.runs[0]), self.path("alone"))
        page = self.page(self.path("alone"))
        self.assertIn("a checkpoint alone: no curves", page.text)
        self.assertIn("objective.beta", page.text)

    def test_takes_a_run_that_has_no_checkpoint_yet(self):
        run = self.copy()
        shutil.rmtree(os.path.join(run, "checkpoints"))
        page = self.page(run)
        self.assertIn("the model can't be opened", page.text)
        self.assertIn("objective.beta", page.text)

    def test_names_what_is_broken_and_goes_on(self):
        run = self.copy()
        with open(os.path.join(run, "metrics.jsonl"), "a", encoding="utf-8") as file:
            file.write('[1]\n{"step":1,"ep')
        write(os.path.join(run, "broken.json"), "{")
        write(os.path.join(run, "samples", "step-7-samples.png"), b"GIF89a")
        write(os.path.join(run, "other.json"), "[1, 2]")
        page = self.page(run)
        for words in ("not a JSON object", "left out", "broken.json", "step-7-samples.png: not a PNG"):
            self.assertIn(words, page.text)
        self.assertNotIn("other.json", page.text)

    def test_traversals_can_be_left_out(self):
        run = self.copy()
        self.assertIn("Traversals", self.page(run).text)
        self.elbo("report", run, "--no-traversals", "--out", "less.html")
        self.assertNotIn("Traversals", Page(read(self.path("less.html")).decode()).text)

    def test_refuses_what_is_no_run_and_writes_nothing(self):
        os.mkdir(self.path("empty"))
        self.refused(4, "report", self.path("empty"), "--out", "page.html")
        self.refused(1, "report", self.runs[0], "--out", "nowhere/page.html", says="there is no folder")
        self.assertEqual(sorted(os.listdir(self.folder)), ["empty"])

    def test_escapes_what_a_run_brings_along(self):
        run = self.copy("a<b>&c")
        with open(os.path.join(run, "metrics.jsonl"), "a", encoding="utf-8") as file:
            file.write('{"step":1,"epoch":0,"split":"train","<script>alert(1)</script>":3}\n')
        page = self.page(run)  # which would meet a script
        self.assertIn("<script>alert(1)</script>", page.text)
        self.assertIn("a<b>&c", page.text)


if __name__ == "__main__":
    main()
