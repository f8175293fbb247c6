"""Public headers compile on their own, torch-free ones without LibTorch in reach; the umbrella holds all of them.

Of headers that include LibTorch (seconds each), ELBO_HEADERS=fast only checks that the types of ours which they name come from what
they include; ELBO_HEADERS=slow compiles each.
"""
import concurrent.futures
import os
import re
import subprocess
import tempfile
import unittest

from support import SOURCE, read, write

INCLUDE = os.path.join(SOURCE, "include")
COMPILER = os.environ.get("ELBO_COMPILER", "c++")
TORCH = [os.path.join(os.environ.get("ELBO_LIBTORCH", ""), path) for path in ("include", "include/torch/csrc/api/include")]
TORCH_FREE = ("elbo/base/", "elbo/config/", "elbo/io/", "elbo/program.h")
SLOW = os.environ.get("ELBO_HEADERS", "fast") == "slow"
DECLARED = re.compile(r"^(?:template <[^;{]*>\s*)?(?:struct|class|enum class|using) (\w+)\b", re.M)


def headers():
    found = []
    for folder, _, names in os.walk(os.path.join(INCLUDE, "elbo")):
        found += [os.path.relpath(os.path.join(folder, name), INCLUDE) for name in names if name.endswith(".h")]
    return sorted(name for name in found if name != "elbo/elbo.h")


def code_of(header):
    """Without comments and texts."""
    text = read(os.path.join(INCLUDE, header)).decode()
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:[^"\\\n]|\\.)*"', "", text, flags=re.S)


def ours_included(header):
    return re.findall(r'^#include "(elbo/[^"]+)"', read(os.path.join(INCLUDE, header)).decode(), re.M)


def closure(header, known):
    if header not in known:
        known[header] = {header}
        for other in ours_included(header):
            known[header] |= closure(other, known)
    return known[header]


def declared_types():
    """Type -> the headers that define it; a mere `class X;` doesn't count."""
    types = {}
    for header in headers():
        code = code_of(header)
        for match in DECLARED.finditer(code):
            line = code[match.start():code.find("\n", match.end())]
            if not re.search(r"\w;\s*$", line) or line.startswith("using"):
                types.setdefault(match.group(1), set()).add(header)
    return types


def undeclared(header, types, known):
    """Types of ours that this header names and does not get."""
    code = code_of(header)
    reached = closure(header, known)
    own = set(re.findall(r"\b(?:struct|class|enum class|using|typename|concept) (\w+)", code))  # nested and announced ones too
    return sorted(name for name in set(re.findall(r"(?<![:.>\w])[A-Z]\w+", code))
                  if name in types and name not in own and not types[name] & reached)


def compiled_alone(header, torch):
    """The compiler's complaints."""
    with tempfile.TemporaryDirectory(prefix="elbo-header-") as folder:
        source = write(os.path.join(folder, "alone.cpp"), f'#include "{header}"\n#include "{header}"\n')
        command = [COMPILER, "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-I" + INCLUDE]
        command += [word for path in TORCH for word in ("-isystem", path)] if torch else []
        result = subprocess.run([*command, source], capture_output=True, text=True)
        return "" if result.returncode == 0 else f"{header}:\n{result.stderr[:2000]}"


def all_compiled(names, torch):
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        return "".join(pool.map(lambda header: compiled_alone(header, torch), names))


class Headers(unittest.TestCase):
    def test_the_umbrella_holds_every_header(self):
        self.assertEqual(ours_included("elbo/elbo.h"), headers(), "include/elbo/elbo.h lists every public header, sorted")

    @unittest.skipIf(SLOW, "among the fast")
    def test_torch_free_headers_compile_alone_without_torch(self):
        names = [name for name in headers() if name.startswith(TORCH_FREE)]
        self.assertGreater(len(names), 25)
        self.assertEqual(all_compiled(names, torch=False), "")

    @unittest.skipIf(SLOW, "among the fast")
    def test_headers_include_what_declares_their_types(self):
        types, known = declared_types(), {}
        self.assertIn("LossTerms", types)
        self.assertEqual(types["Trainer"], {"elbo/training/trainer.h"})
        lacking = {header: undeclared(header, types, known) for header in headers()}
        self.assertEqual({header: names for header, names in lacking.items() if names}, {})

    @unittest.skipUnless(SLOW, "slow: 8 s a header")
    def test_every_other_header_compiles_alone(self):
        self.assertTrue(os.path.isdir(TORCH[0]), TORCH)
        names = [name for name in headers() if not name.startswith(TORCH_FREE)]
        self.assertEqual(all_compiled(names, torch=True), "")


if __name__ == "__main__":
    unittest.main(verbosity=2)
