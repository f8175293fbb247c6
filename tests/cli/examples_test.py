"""The installed package, used by a project outside the tree: apps/examples is built with find_package(elbo) and run."""
import glob
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from support import SOURCE, environment, is_png, main, read

BUILD = os.environ.get("ELBO_BINARY_DIR", "")
CMAKE = os.environ.get("ELBO_CMAKE", "cmake")
TOOLS = [option for option in os.environ.get("ELBO_CMAKE_TOOLS", "").split("|") if option]  # generator and compiler of our own build
VERSION = re.search(r"project\(elbo VERSION ([\d.]+)", read(os.path.join(SOURCE, "CMakeLists.txt")).decode()).group(1)


def call(*command, cwd=None, code=0, **changes):
    """Output and messages of a command that must end with this code."""
    result = subprocess.run([str(word) for word in command], cwd=cwd, env=environment(**changes), stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900)
    if (result.returncode == 0) != (code == 0):
        raise AssertionError(f"{' '.join(map(str, command))}: exit {result.returncode}\n{result.stdout[-6000:]}")
    return result.stdout


class Examples(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory(prefix="elbo-examples-", ignore_cleanup_errors=True)
        cls.folder = cls.temporary.name
        cls.prefix = os.path.join(cls.folder, "installed")
        call(CMAKE, "--install", BUILD, "--prefix", cls.prefix)

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def configure(self, source, build, *options, code=0):
        launcher = ["-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"] if shutil.which("ccache") else []
        return call(CMAKE, "-S", source, "-B", build, *TOOLS, f"-DCMAKE_PREFIX_PATH={self.prefix}",
                    "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS_DEBUG=-O0", *launcher, *options, code=code)

    def test_what_is_installed_does_not_point_back_into_the_build(self):
        for path in ("bin/elbo", "include/elbo/elbo.h", "include/elbo/ops/op.h", "lib/libelbo_base.a", "lib/libelbo_commands.a",
                     "lib/cmake/elbo/elboConfig.cmake", "lib/cmake/elbo/elboConfigVersion.cmake", "share/doc/elbo/LICENSE"):
            self.assertTrue(os.path.exists(os.path.join(self.prefix, path)), path)
        self.assertEqual(os.path.exists(os.path.join(BUILD, "libelbo_cuda.so")),
                         os.path.exists(os.path.join(self.prefix, "lib/libelbo_cuda.so")))
        for path in glob.glob(os.path.join(self.prefix, "lib/cmake/elbo/elboTargets*.cmake")):
            text = read(path).decode()
            self.assertNotIn(os.path.join(SOURCE, "include"), text, path)
            self.assertNotIn(BUILD, text, path)
            self.assertNotIn("-Werror", text, path)
        self.assertEqual(call(os.path.join(self.prefix, "bin/elbo"), "version"), f"elbo {VERSION}\n")
        self.assertIn("digits", call(os.path.join(self.prefix, "bin/elbo"), "list", "data", cwd=self.folder))

    def test_a_project_outside_the_tree_builds_and_runs(self):
        source, build = os.path.join(self.folder, "examples"), os.path.join(self.folder, "build")
        shutil.copytree(os.path.join(SOURCE, "apps/examples"), source)
        self.assertLess(len(read(os.path.join(source, "train_vae.cpp")).splitlines()), 60)
        self.configure(source, build)
        call(CMAKE, "--build", build, "-j2")

        out = call(os.path.join(build, "train_vae"), cwd=self.folder)
        numbers = {name: float(value) for name, value in re.findall(r"^(\w+) +(-?\d+\.?\d*)", out, re.M)}
        self.assertGreater(numbers["log_likelihood_nats"], -30, out)  # fair coins for 64 pixels have -44
        self.assertGreater(numbers["log_likelihood_nats"], numbers["elbo_nats"], out)
        self.assertTrue(is_png(os.path.join(self.folder, "samples.png")))

        own = os.path.join(build, "own_components")
        self.assertIn("Li & Turner 2016", call(own, "describe", "objective/renyi"))
        call(own, "train", os.path.join(source, "own_components.yaml"), "--run", "own", "--quiet", cwd=self.folder)
        out = call(own, "evaluate", "own", "--quiet", cwd=self.folder)
        elbo = float(re.search(r"elbo_nats +(-?\d+\.\d+)", out).group(1))
        self.assertGreater(elbo, -1.9)  # a normal density fitted to the ring has -2.2
        # The program elbo opens no run whose components it lacks, and says what it has.
        out = call(os.path.join(self.prefix, "bin/elbo"), "evaluate", "own", cwd=self.folder, code=1)
        self.assertIn("unknown objective 'renyi'", out)

    def test_another_version_is_not_taken(self):
        source = os.path.join(self.folder, "other")
        os.makedirs(source, exist_ok=True)
        major, minor, _ = VERSION.split(".")
        with open(os.path.join(source, "CMakeLists.txt"), "w", encoding="utf-8") as file:
            file.write("cmake_minimum_required(VERSION 3.25)\nproject(other LANGUAGES CXX)\n"
                       f"find_package(elbo {major}.{int(minor) + 1} REQUIRED)\n")
        self.assertIn(f"version: {VERSION}", self.configure(source, os.path.join(self.folder, "build-other"), code=1))


if __name__ == "__main__":
    if not os.path.isdir(BUILD):
        print(f"skipped: no build folder at ELBO_BINARY_DIR='{BUILD}'")
        raise SystemExit(77)
    main()
