"""A VQ-VAE as a person meets it: numbers without asking, codes in a file, samples that say what they are, a collapse that is told."""
import json
import os
import struct
import zipfile

from support import CliTest, is_png, main, metrics_of, read, write

CONFIG = """\
name: test/vq
seed: 3
data: {type: digits, batch_size: 100}
model:
  type: vq_vae
  encoder: {type: residual_conv, channels: [8, 8], residual_blocks: 0}
  decoder: {type: residual_conv, channels: [8, 8], residual_blocks: 0}
  quantizer: {type: ema, codes: 16, code_size: 4}
  likelihood: {type: normal, scale: 0.3}
objective: {type: vq}
optimizer: {type: adam, learning_rate: 1e-2}
training: {epochs: 3}
"""


def codes_of(path):
    """Extents and numbers of the array `codes`, without numpy."""
    with zipfile.ZipFile(path) as archive:
        data = archive.read("codes.npy")
    end = 10 + int.from_bytes(data[8:10], "little")
    header = eval(data[10:end].decode())  # a literal dict by the format
    assert header["descr"] == "<i8", header
    count = 1
    for extent in header["shape"]:
        count *= extent
    return header["shape"], struct.unpack(f"<{count}q", data[end:])


class Quantized(CliTest):
    def trained(self, config=CONFIG, name="run"):
        result = self.elbo("train", write(self.path("vq.yaml"), config), "--run", name)
        return self.path(name), result

    def test_from_the_file_to_numbers_codes_and_pictures(self):
        run, _ = self.trained()
        result = json.loads(self.elbo("evaluate", run, "--json", "-", "--quiet").out)["metrics"]
        for name in ("bound_nats", "code_usage", "code_perplexity", "dead_codes", "relative_quantization_error", "nominal_rate_bits",
                     "entropy_rate_bits", "bound_bits_per_dim", "reconstruction_error", "psnr_db"):
            self.assertIn(name, result)
        self.assertEqual(result["tokens"], 180 * 4)
        self.assertEqual(result["nominal_rate_bits"], 4 * 4)

        self.elbo("encode", run, "--out", "z.npz")
        shape, codes = codes_of(self.path("z.npz"))
        self.assertEqual(shape, (180, 2, 2, 1))
        self.assertEqual(result["dead_codes"], 16 - len(set(codes)))
        self.assertTrue(set(codes) <= set(range(16)))

        sampled = self.elbo("sample", run, "--out", "s.png")
        self.assertIn("codes drawn at random", sampled.err)
        self.elbo("reconstruct", run, "--out", "r.png")
        self.assertTrue(is_png(self.path("s.png")) and is_png(self.path("r.png")))
        self.elbo("report", run, "--out", "report.html")
        page = read(self.path("report.html")).decode()
        self.assertIn("How the codes are used", page)
        lines = [line for line in metrics_of(run) if "codebooks" in line]
        self.assertEqual(len(lines), 3)
        self.assertEqual(lines[-1]["codebooks"]["codes"]["tokens"], sum(lines[-1]["codebooks"]["codes"]["largest_counts"]))

    def test_a_collapse_is_told_once(self):
        collapsing = CONFIG.replace("{type: ema, codes: 16, code_size: 4}", "{type: vq, codes: 512, code_size: 4, init: uniform}")
        run, result = self.trained(collapsing)
        self.assertEqual(result.err.count("has collapsed"), 1, result.err)
        self.assertIn("quantizer ema", result.err)
        self.assertNotIn("has collapsed", self.trained(name="healthy")[1].err)

    def test_an_objective_of_the_other_family_is_refused(self):
        write(self.path("vq.yaml"), CONFIG.replace("objective: {type: vq}", "objective: {type: elbo}"))
        self.refused(2, "train", "vq.yaml", says="objective 'elbo' (line 10) needs a variational model; model 'vq_vae' (line 5) is quantized")
        self.assertEqual(sorted(os.listdir(self.folder)), ["vq.yaml"])

    def test_a_run_goes_on_to_the_bit(self):
        whole, _ = self.trained(name="whole")
        part, _ = self.trained(CONFIG.replace("epochs: 3", "epochs: 1"), "part")
        self.elbo("train", write(self.path("vq.yaml"), CONFIG), "--run", part, "--resume")
        for file in ("model.safetensors", "training.safetensors"):
            a, b = (read(os.path.join(folder, "checkpoints", "last", file)) for folder in (whole, part))
            self.assertTrue(a == b, file + " differs")


if __name__ == "__main__":
    main()
