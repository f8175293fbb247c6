"""Commands that train nothing: help, list, describe, config, doctor, and what they say about mistakes."""
import glob
import json
import os
import unittest

from support import SMALL, SOURCE, CliTest, main

CONFIGS = sorted(glob.glob(os.path.join(SOURCE, "configs", "*", "*.yaml")))
COMMANDS = ["train", "sweep", "evaluate", "sample", "reconstruct", "traverse", "encode", "report", "import", "config", "list", "describe", "info", "doctor"]


class Help(CliTest):
    def test_help_lists_every_command_and_each_explains_itself(self):
        text = self.elbo("--help").out
        for command in COMMANDS:
            with self.subTest(command):
                self.assertRegex(text, rf"\n  {command} +\w")
                own = self.elbo(command, "--help")
                self.assertIn(f"elbo {command}", own.out)
                self.assertIn("Examples:", own.out)
                self.assertEqual(own.err, "")

    def test_no_command_prints_the_help_and_fails(self):
        self.assertIn("Usage: elbo COMMAND", self.elbo(check_code=1).out)

    def test_version(self):
        self.assertRegex(self.elbo("--version").out, r"^elbo \d+\.\d+\.\d+\n$")
        self.assertEqual(self.elbo("version").out, self.elbo("--version").out)


class Mistakes(CliTest):
    def test_an_unknown_command_is_exit_1_with_a_suggestion(self):
        self.refused(1, "trian", says=["no command 'trian'", "did you mean 'train'"])

    def test_unknown_options_and_missing_arguments_are_exit_1(self):
        config = self.small()
        for words, says in [(("train", config, "--epochs", "5"), "epochs"), (("train",), "expected 1"),
                            (("train", config, config), "expected 0 to 1 (CONFIG.yaml)"), (("evaluate",), "expected 1"),
                            (("describe", "objective"), "AXIS/NAME"), (("describe", "objective/iwea"), "iwae"),
                            (("describe", "objektive/iwae"), "objective"),
                            (("describe", "transformer"), "there is code_prior/transformer"), (("list", "objektive"), "objective"),
                            (("train", config, "--threads", "many"), "threads"), (("train", config, "--threads", "-2"), "threads"),
                            (("train", config, "--device", "gpu"), "cuda")]:
            with self.subTest(words):
                self.refused(1, *words, says=says)
        self.assertEqual(os.listdir(self.folder), ["small.yaml"])

    def test_empty_words_are_refused_by_name(self):
        config = self.small()
        for words, says in [(("train", ""), "empty argument, expected CONFIG.yaml"), (("sample", "", "--out", "s.png"), "expected RUN"),
                            (("train", config, "--run", ""), "--run: got an empty value"),
                            (("train", config, "--data-root", ""), "--data-root: got an empty value"),
                            (("train", config, "--set", ""), "--set: got an empty value")]:
            with self.subTest(words):
                self.refused(1, *words, says=says)
        self.assertEqual(os.listdir(self.folder), ["small.yaml"])

    def test_the_case_of_an_ending_does_not_matter(self):
        self.refused(4, "sample", "nowhere", "--out", "s.PNG", says="nowhere")
        self.refused(1, "sample", "nowhere", "--out", "s.gif", says="--out: got 's.gif'")


class Catalogs(CliTest):
    def test_the_reference_is_current(self):
        with open(os.path.join(SOURCE, "docs", "reference.md"), encoding="utf-8") as file:
            self.assertEqual(self.elbo("list", "--markdown").out, file.read(), "run: elbo list --markdown > docs/reference.md")

    def test_the_reference_has_every_option_and_every_section(self):
        text = self.elbo("list", "--markdown").out
        for axis, components in json.loads(self.elbo("list", "--json").out).items():
            for component in components:
                begin = text.index(f"### {axis} `{component['name']}`\n\n{component['source']}\n")
                part = text[begin:text.find("\n## ", begin)].split("\n### ")[0]
                for option in component["options"]:
                    with self.subTest(f"{axis}/{component['name']}/{option['name']}"):
                        row = next(line for line in part.splitlines() if line.startswith(f"| `{option['name']}` | "))
                        self.assertTrue(row.endswith(f" | {option['range']} | {option['doc'].replace('|', chr(92) + '|')} |"), row)
        for section, key in [("config", "`data`"), ("evaluation", "`metrics`"), ("training", "`checkpoint.keep`")]:
            self.assertIn(f"## Section {section}\n", text)
            self.assertIn(f"\n| {key} | ", text)
            self.assertIn(key.strip("`"), self.elbo("describe", section).out)

    def test_list_json_has_every_axis_and_describe_knows_every_component(self):
        axes = json.loads(self.elbo("list", "--json").out)
        self.assertEqual(sorted(axes), list(axes))
        self.assertLessEqual({"data", "decoder", "encoder", "likelihood", "metric", "model", "objective", "optimizer", "posterior",
                              "prior", "schedule"}, set(axes))
        table = self.elbo("list").out
        for axis, components in axes.items():
            self.assertTrue(components, axis)
            names = [component["name"] for component in components]
            self.assertEqual(names, sorted(names))
            for component in components:
                with self.subTest(f"{axis}/{component['name']}"):
                    self.assertTrue(component["source"])
                    self.assertRegex(table, rf"(?m)^{axis} +{component['name']} ")
                    text = self.elbo("describe", f"{axis}/{component['name']}").out
                    self.assertIn(component["source"], text)
                    for option in component["options"]:
                        self.assertIn(option["name"], text)
                        self.assertTrue(option["doc"], option)
                        self.assertTrue(option["required"] or option["type"] == "section" or option["default"] != "" or
                                        "null" in option["type"], option)

    def test_list_of_one_axis(self):
        axes = json.loads(self.elbo("list", "objective", "--json").out)
        self.assertEqual(list(axes), ["objective"])
        self.assertLessEqual({"beta_vae", "elbo", "iwae"}, {entry["name"] for entry in axes["objective"]})


class Configs(CliTest):
    def test_every_config_of_the_project_resolves_and_its_dump_resolves_to_itself(self):
        self.assertGreater(len(CONFIGS), 8)
        for path in CONFIGS:
            with self.subTest(os.path.relpath(path, SOURCE)):
                text = self.elbo("config", path).out
                folder, name = path.split(os.sep)[-2:]
                self.assertIn(f"name: {folder}/{name[:-5]}", text)
                again = self.elbo("config", self.small(text, "dump.yaml")).out
                self.assertEqual(again, text)

    def test_defaults_are_filled_and_keys_explained(self):
        text = self.elbo("config", self.small()).out
        self.assertIn("prior:", text)
        self.assertIn("# latent size D", text)
        bare = self.elbo("config", self.small(), "--no-comments").out
        self.assertNotIn("#", bare)
        self.assertIn("beta1: 0.9", bare)

    def test_set_goes_through_the_same_reader(self):
        text = self.elbo("config", self.small(), "--set", "model.latent_size=7", "--set",
                         "objective={type: iwae, samples: 5, estimator: dreg}", "--no-comments").out
        self.assertIn("latent_size: 7", text)
        self.assertIn("estimator: dreg", text)
        self.refused(2, "config", self.small(), "--set", "model.latent_sise=7",
                     says=["--set model.latent_sise", "did you mean 'latent_size'"])
        self.refused(2, "config", self.small(), "--set", "model.latent_size", says="model.latent_size")

    def test_every_problem_is_in_one_report_with_its_line(self):
        wrong = SMALL.replace("latent_size: 4", "latent_sise: 4").replace("type: elbo", "type: iwea").replace("seed: 3", "seed: -3")
        result = self.refused(2, "config", self.small(wrong), says=[
            "small.yaml:2: seed: ", "small.yaml:6: model.latent_sise: unknown key, did you mean 'latent_size'?",
            "small.yaml:9: objective.type: unknown objective 'iwea', did you mean 'iwae'?", "3 problems; nothing was run."])
        self.assertLess(result.err.index("small.yaml:2"), result.err.index("small.yaml:9"))

    def test_a_missing_file_is_exit_2(self):
        self.refused(2, "train", self.path("none.yaml"), says=[self.path("none.yaml"), "no such file"])


class Doctor(CliTest):
    def test_tells_versions_and_devices(self):
        text = self.elbo("doctor", "--data-root", "somewhere").out
        for words in ("LibTorch", "threads in use", "CUDA devices", "somewhere"):
            self.assertIn(words, text)


if __name__ == "__main__":
    main()
