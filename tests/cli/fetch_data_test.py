"""scripts/fetch_data.sh against a file server of our own: what it puts in place, and that it puts nothing half-right there."""
import functools
import gzip
import hashlib
import http.server
import io
import os
import subprocess
import tarfile
import tempfile
import threading
import unittest

SCRIPT = os.path.join(os.environ["ELBO_SOURCE_DIR"], "scripts", "fetch_data.sh")
FILES = [f"{split}-{kind}-ubyte.gz" for split in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        self.server.requests.append(self.path)


class FetchData(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.served, self.data = os.path.join(folder.name, "served"), os.path.join(folder.name, "data")
        os.mkdir(self.served)
        self.sums = os.path.join(folder.name, "sums")
        with open(self.sums, "w", encoding="utf-8") as sums:
            for name in FILES:
                sums.write(f"{hashlib.sha256(name.encode()).hexdigest()}  {name}\n")
                self.serve(name, name.encode())
        handler = functools.partial(QuietHandler, directory=self.served)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.requests = []
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)

    def serve(self, name, content):
        with gzip.open(os.path.join(self.served, name), "wb") as file:
            file.write(content)

    def fetch(self, name="mnist", **environment):
        url = f"http://127.0.0.1:{self.server.server_port}"
        environment = {"ELBO_MNIST_URL": url, "ELBO_FASHION_MNIST_URL": url, "ELBO_CIFAR10_URL": url,
                       "ELBO_SHA256": self.sums, "no_proxy": "*", **environment}
        return subprocess.run([SCRIPT, name, self.data], env={**os.environ, **environment}, capture_output=True, text=True)

    def in_place(self):
        """Every file under the data root, hidden ones too: scratch folders must be gone."""
        return sorted(os.path.relpath(os.path.join(folder, name), self.data)
                      for folder, folders, names in os.walk(self.data) for name in names + [f for f in folders if f[0] == "."])

    def test_fetches_each_set_and_leaves_it_alone_afterwards(self):
        for name in ("mnist", "fashion_mnist"):
            with self.subTest(name):
                self.server.requests.clear()
                run = self.fetch(name)
                self.assertEqual((run.returncode, run.stderr), (0, ""))
                self.assertEqual([path for path in self.in_place() if path.startswith(name)], sorted(f"{name}/{f}" for f in FILES))
                for file in FILES:
                    with gzip.open(os.path.join(self.data, name, file)) as content:
                        self.assertEqual(content.read(), file.encode())
                self.assertEqual(len(self.server.requests), 4)
                self.assertIn("all there and right", self.fetch(name).stdout)
                self.assertEqual(len(self.server.requests), 4)

    def test_fetches_only_what_is_missing(self):
        self.assertEqual(self.fetch().returncode, 0)
        os.remove(os.path.join(self.data, "mnist", FILES[2]))
        self.server.requests.clear()
        self.assertEqual(self.fetch().returncode, 0)
        self.assertEqual(self.server.requests, ["/" + FILES[2]])

    def test_other_content_is_refused_and_nothing_put_in_place(self):
        self.serve(FILES[3], b"something else")
        run = self.fetch()
        self.assertEqual(run.returncode, 1)
        self.assertIn(f"{FILES[3]} as fetched has another SHA-256", run.stderr)
        self.assertIn("Nothing was put into", run.stderr)
        self.assertEqual(self.in_place(), [])

    def test_the_checksums_of_the_real_sets_are_in_the_script(self):
        for name in ("mnist", "fashion_mnist"):
            run = self.fetch(name, ELBO_SHA256="")
            self.assertEqual(run.returncode, 1)
            self.assertIn(f"{FILES[0]} as fetched has another SHA-256", run.stderr)

    def test_a_file_the_server_lacks_is_named(self):
        os.remove(os.path.join(self.served, FILES[1]))
        run = self.fetch()
        self.assertEqual(run.returncode, 1)
        self.assertIn("404", run.stderr)
        self.assertIn(f"could not download {FILES[1]}", run.stderr)
        self.assertIn("ELBO_MNIST_URL", run.stderr)
        self.assertEqual(self.in_place(), [])

    def test_a_wrong_file_already_there_is_kept_and_named(self):
        os.makedirs(os.path.join(self.data, "mnist"))
        path = os.path.join(self.data, "mnist", FILES[0])
        with gzip.open(path, "wb") as file:
            file.write(b"mine")
        run = self.fetch()
        self.assertEqual(run.returncode, 1)
        self.assertIn(f"{path} is not the file of that name in mnist", run.stderr)
        with gzip.open(path) as file:
            self.assertEqual(file.read(), b"mine")

    CIFAR = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]

    def serve_cifar(self, names, wrong_sum=False):
        """The archive with its files in a folder, something else and something that climbs out."""
        path = os.path.join(self.served, "cifar-10-binary.tar.gz")
        with tarfile.open(path, "w:gz") as tar:
            for name in [*names, "readme.html", "../../escaped.txt"]:
                member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
                member.size = len(name)
                tar.addfile(member, io.BytesIO(name.encode()))
        with open(path, "rb") as archive:
            digest = hashlib.sha256(b"" if wrong_sum else archive.read()).hexdigest()
        with open(self.sums, "w", encoding="utf-8") as sums:
            sums.write(f"{digest}  cifar-10-binary.tar.gz\n")

    def test_cifar10_is_unpacked_from_its_archive(self):
        self.serve_cifar(self.CIFAR)
        run = self.fetch("cifar10")
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        self.assertEqual(self.in_place(), [f"cifar10/{name}" for name in self.CIFAR])
        for name in self.CIFAR:
            with open(os.path.join(self.data, "cifar10", name), "rb") as file:
                self.assertEqual(file.read(), name.encode())
        self.assertIn("all there", self.fetch("cifar10").stdout)
        self.assertEqual(self.server.requests, ["/cifar-10-binary.tar.gz"])

    def test_a_wrong_cifar10_leaves_nothing(self):
        self.serve_cifar(self.CIFAR, wrong_sum=True)
        run = self.fetch("cifar10")
        self.assertEqual(run.returncode, 1)
        self.assertIn("cifar-10-binary.tar.gz as fetched has another SHA-256", run.stderr)
        self.assertEqual(self.in_place(), [])
        self.serve_cifar(self.CIFAR[:-1])
        run = self.fetch("cifar10")
        self.assertEqual(run.returncode, 1)
        self.assertIn("test_batch.bin missing", run.stderr)
        self.assertEqual(self.in_place(), [])
        run = self.fetch("cifar10", ELBO_SHA256="")  # the real one's is in the script
        self.assertIn("has another SHA-256 than c4a38c50a1bc5f3a", run.stderr)

    def test_an_unknown_set_is_refused(self):
        run = self.fetch("imagenet")
        self.assertEqual((run.returncode, run.stderr), (1, "error: unknown data set 'imagenet', expected cifar10, fashion_mnist or mnist\n"))


if __name__ == "__main__":
    unittest.main()
