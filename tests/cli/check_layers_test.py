"""scripts/check_layers.py finds each kind of violation, and nothing in a tree without one."""
import os
import subprocess
import sys
import tempfile
import unittest

SCRIPT = os.path.join(os.environ["ELBO_SOURCE_DIR"], "scripts", "check_layers.py")
GOOD = {
    "include/elbo/elbo.h": '#include "elbo/math/b.h"\n',
    "include/elbo/base/a.h": "#include <string>\n",
    "include/elbo/math/b.h": '#include <torch/types.h>\n#include "elbo/base/a.h"\n',
    "include/elbo/quantizers/q.h": '#include "elbo/math/b.h"\n',
    "src/base/log.cpp": '#include <spdlog/spdlog.h>\n#include "elbo/base/a.h"\n',
    "src/math/b.cpp": '#include "elbo/math/b.h"\n#include "private.h"\n',
    "src/math/private.h": "",
    "src/ops/cuda_plugin/k.cu": "#include <cuda_runtime.h>\n",
    "apps/examples/x.cpp": '#include "elbo/elbo.h"\n',
    "tests/base/a_test.cpp": '#include "elbo/math/b.h"\n',
}


def check(changes):
    with tempfile.TemporaryDirectory() as root:
        for path, text in {**GOOD, **changes}.items():
            full = os.path.join(root, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w", encoding="utf-8") as file:
                file.write(text)
        run = subprocess.run([sys.executable, SCRIPT, root], capture_output=True, text=True)
        return run.returncode, run.stdout.splitlines()


class CheckLayers(unittest.TestCase):
    def test_a_good_tree_passes(self):
        self.assertEqual(check({}), (0, ["10 files, 0 problems"]))

    def test_an_empty_tree_fails(self):
        with tempfile.TemporaryDirectory() as root:
            self.assertEqual(subprocess.run([sys.executable, SCRIPT, root], capture_output=True).returncode, 1)

    def assert_refused(self, path, text, message):
        code, lines = check({path: text})
        self.assertEqual((code, lines[:-1]), (1, [f"{path}:{text.count(chr(10))}: {message}"]))

    def test_one_name_is_one_type(self):
        first = "namespace elbo {\nstruct Twin {\n  enum class Own { a };\n};\n}  // namespace elbo\n"
        unnamed = "namespace elbo {\nnamespace {\nclass Twin final : public X {\n};\n}  // namespace\n}  // namespace elbo\n"
        other = "namespace elbo::detail {\nenum class Twin {\n};\n}  // namespace elbo::detail\n"
        forward = "namespace elbo { class Twin; }\nnamespace elbo {\nclass Twin;\n}  // namespace elbo\n"
        good = {"include/elbo/io/one.h": first, "src/io/two.cpp": unnamed, "src/io/three.cpp": other, "src/io/four.h": forward}
        self.assertEqual(check(good), (0, ["14 files, 0 problems"]))
        code, lines = check({**good, "include/elbo/models/two.h": "\nnamespace elbo {\nenum class Twin { a, b };\n}  // namespace elbo\n"})
        self.assertEqual((code, lines[:-1]), (1, ["include/elbo/models/two.h:3: elbo::Twin is defined in include/elbo/io/one.h too"]))

    def test_each_violation_is_named_with_its_line(self):
        cases = [
            ("include/elbo/base/a.h", '\n#include "elbo/math/b.h"\n',
             "base/ includes elbo/math/b.h, but math/ is right of base/"),
            ("include/elbo/aggregators/p.h", '#include "elbo/quantizers/q.h"\n',
             "aggregators/ includes elbo/quantizers/q.h, but quantizers/ is beside aggregators/"),
            ("src/base/x.cpp", '#  include "../math/private.h"\n',
             "base/ includes ../math/private.h, but math/ is right of base/"),
            ("src/io/png.cpp", "#include <ATen/ATen.h>\n", "<ATen/ATen.h>: io/ must not see LibTorch"),
            ("src/ops/cuda_plugin/k.cu", "#include <c10/util/Half.h>\n", "<c10/util/Half.h>: kernels must not see LibTorch"),
            ("src/math/b.cpp", "#include <torch/torch.h>\n",
             "torch/torch.h takes 20 s to compile: include the header that declares what is used"),
            ("src/math/b.cpp", "#include <spdlog/spdlog.h>\n", "<spdlog/spdlog.h>: spdlog is included by src/base/log.cpp only"),
            ("src/config/reader.cpp", "#include <yaml-cpp/yaml.h>\n",
             "<yaml-cpp/yaml.h>: yaml-cpp is included by src/config/yaml.cpp only"),
            ("apps/elbo/main.cpp", '#include "elbo/elbo.h"\n', "elbo/elbo.h is for users of the library: include what is used"),
            ("src/math/b.cpp", '#include "elbo/math/gone.h"\n', "elbo/math/gone.h does not exist"),
            ("src/math/b.cpp", '#include "vector"\n', '"vector" is not a file of ours: write <vector>'),
            ("tests/base/long_test.cpp", "\n" * 501, "501 lines, at most 500 are allowed: split the file"),
        ]
        for path, text, message in cases:
            with self.subTest(message):
                self.assert_refused(path, text, message)

    def test_an_unknown_room_is_refused(self):
        self.assertEqual(check({"src/attic/x.cpp": "\n"})[1][0],
                         "src/attic/x.cpp:1: 'attic' is not a room (scripts/check_layers.py lists them)")


if __name__ == "__main__":
    unittest.main()
