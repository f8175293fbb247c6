"""elbo encode and traverse: codes of every row, and pictures of what their units mean."""
import os
import struct
import tempfile
import zipfile

from support import SMALL, CliTest, elbo, is_png, main, read, write


def npz(path):
    """Type, extents and numbers of each array, without numpy."""
    arrays = {}
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        for name in archive.namelist():
            data = archive.read(name)
            end = 10 + int.from_bytes(data[8:10], "little")
            header = eval(data[10:end].decode())  # a literal dict by the format
            letter = {"<f4": "f", "<f8": "d", "<i8": "q"}[header["descr"]]
            count = 1
            for extent in header["shape"]:
                count *= extent
            arrays[name[:-4]] = (header["shape"], struct.unpack(f"<{count}{letter}", data[end:]))
    return arrays


def png_extents(path):
    return struct.unpack(">II", read(path)[16:24])


class Codes(CliTest):
    @classmethod
    def setUpClass(cls):
        cls.shared = tempfile.TemporaryDirectory(prefix="elbo-test-")
        cls.run_folder = os.path.join(cls.shared.name, "run")
        elbo("train", write(os.path.join(cls.shared.name, "small.yaml"), SMALL), "--run", cls.run_folder, "--quiet")

    @classmethod
    def tearDownClass(cls):
        cls.shared.cleanup()

    def test_encode_writes_a_code_a_row(self):
        self.elbo("encode", self.run_folder, "--out", "z.npz")
        arrays = npz(self.path("z.npz"))
        self.assertEqual({name: shape for name, (shape, _) in arrays.items()},
                         {"mean": (180, 4), "log_var": (180, 4), "z": (180, 4), "index": (180,), "label": (180,)})
        self.assertEqual(list(arrays["index"][1]), list(range(180)))
        self.assertTrue(set(arrays["label"][1]) <= set(range(10)))
        # z = mean + exp(log_var / 2) noise: standardised it has the moments of N(0, 1)
        mean, log_var, z = (arrays[name][1] for name in ("mean", "log_var", "z"))
        noise = [(c - m) / 2.718281828459045 ** (v / 2) for m, v, c in zip(mean, log_var, z)]
        self.assertAlmostEqual(sum(noise) / len(noise), 0, delta=0.15)
        self.assertAlmostEqual(sum(n * n for n in noise) / len(noise), 1, delta=0.25)

    def test_codes_depend_on_neither_batch_size_nor_limit(self):
        self.elbo("encode", self.run_folder, "--out", "whole.npz")
        self.elbo("encode", self.run_folder, "--out", "part.npz", "--batch-size", "7", "--limit", "70")
        whole, part = npz(self.path("whole.npz")), npz(self.path("part.npz"))
        for name, (shape, numbers) in part.items():
            self.assertEqual(shape[0], 70)
            for a, b in zip(numbers, whole[name][1]):
                self.assertAlmostEqual(a, b, delta=1e-5)

    def test_traverse_moves_one_unit_at_a_time(self):
        result = self.elbo("traverse", self.run_folder, "--out", "t.png", "--units", "2,0", "--steps", "5")
        self.assertTrue(is_png(self.path("t.png")))
        self.assertEqual(png_extents(self.path("t.png")), (5 * 90 + 2, 2 * 90 + 2))  # 8 x 8 pixels eleven times enlarged
        self.assertIn("from the top: 2, 0", result.err)
        self.elbo("traverse", self.run_folder, "--out", "t.npz", "--rows", "3,1", "--units", "all", "--range", "-2,2", "--steps", "3")
        arrays = npz(self.path("t.npz"))
        self.assertEqual(arrays["x"][0], (2, 4, 3, 1, 8, 8))
        self.assertEqual(arrays["values"][1], (-2, 0, 2))
        self.assertEqual(arrays["rows"][1], (3, 1))
        self.assertEqual(sorted(arrays["units"][1]), [0, 1, 2, 3])

    def test_mistakes_are_told(self):
        for args, says in ((("--units", "9"), "unit 9: the code has units 0 to 3"), (("--units", "x"), "--units"),
                           (("--range", "1"), "--range: got '1'"), (("--row", "500"), "the test split has rows 0 to 179"),
                           (("--row", "1", "--rows", "1,2"), "give one of them"), (("--out", "t.gif"), ".png or .npz"),
                           (("--out", "no/t.png"), "there is no folder")):
            with self.subTest(args):
                self.refused(1, "traverse", self.run_folder, *args, says=says)
        self.refused(1, "encode", self.run_folder, "--out", "z.csv", says="ends in .npz")
        self.assertEqual(os.listdir(self.folder), [])


if __name__ == "__main__":
    main()
