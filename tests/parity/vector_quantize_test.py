"""vector-quantize-pytorch and our vq: with one codebook and the same tokens, the same codes and values. Needs torch and that package."""
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
from support import CliTest, last_checkpoint, main, write  # noqa: E402

try:
    import numpy as np
    import torch
    from read_files import safetensors
    from vector_quantize_pytorch import VectorQuantize
except ImportError:
    VectorQuantize = None

CONFIG = """\
name: test/vq
seed: 3
data: {type: digits, batch_size: 100}
model:
  type: vq_vae
  encoder: {type: residual_conv, channels: [8], residual_blocks: 0}
  decoder: {type: residual_conv, channels: [8], residual_blocks: 0}
  quantizer: {type: sim_or_vq, codes: 24, code_size: 4, init: kmeans}
  likelihood: {type: normal, scale: 0.3}
objective: {type: vq}
optimizer: {type: adam, learning_rate: 2e-3}
training: {epochs: 2}
evaluation: {metrics: [bound], pictures: 0}
"""


@unittest.skipIf(VectorQuantize is None, "torch or vector-quantize-pytorch is missing for this Python")
class SameCodes(CliTest):
    def check(self, quantizer):
        run = self.path(quantizer)
        self.elbo("train", write(self.path("vq.yaml"), CONFIG.replace("sim_or_vq", quantizer)), "--run", run, "--quiet")
        self.elbo("encode", run, "--out", "codes.npz")
        self.elbo("reconstruct", run, "--split", "test", "--count", "1000", "--out", "data.npz")
        codes = np.load(self.path("codes.npz"))["codes"]
        data = np.load(self.path("data.npz"))
        weights = {name: torch.from_numpy(values.copy())
                   for name, values in safetensors(os.path.join(last_checkpoint(run), "model.safetensors")).items()}

        x = torch.from_numpy(data["x"])
        h = torch.relu(torch.conv2d(x, weights["encoder.convs.0.weight"], weights["encoder.convs.0.bias"], stride=2, padding=1))
        h = torch.relu(torch.conv2d(h, weights["encoder.convs.1.weight"], weights["encoder.convs.1.bias"], padding=1))
        tokens = torch.conv2d(h, weights["head.weight"], weights["head.bias"]).permute(0, 2, 3, 1).reshape(len(x), -1, 4)

        layer = VectorQuantize(dim=4, codebook_size=24, kmeans_init=False).eval()
        layer._codebook.embed.data.copy_(weights["quantizer.codes"].reshape(layer._codebook.embed.shape))
        with torch.no_grad():
            values, theirs, _ = layer(tokens)
        ours = torch.from_numpy(codes).reshape(len(x), -1)
        self.assertGreater(len(torch.unique(ours)), 1)
        two = torch.cdist(tokens, weights["quantizer.codes"].expand(len(x), -1, -1)).square().sort(-1).values[..., :2]
        tied = two[..., 1] - two[..., 0] < 1e-5 * two[..., 1]  # rounding decides
        self.assertTrue(torch.equal(ours[~tied], theirs[~tied]))
        self.assertLess(tied.float().mean().item(), 0.01)

        # The value through the decoder is what the program reconstructs.
        z = values.reshape(len(x), 4, 4, 4).permute(0, 3, 1, 2)
        h = torch.relu(torch.conv2d(z, weights["decoder.convs.0.weight"], weights["decoder.convs.0.bias"], padding=1))
        y = torch.conv_transpose2d(h, weights["decoder.output.weight"], weights["decoder.output.bias"], stride=2, padding=1)
        self.assertLess((y - torch.from_numpy(data["reconstruction"])).abs().max().item(), 1e-4)

    def test_codes_learnt_by_gradients(self):
        self.check("vq")

    def test_codes_of_moving_averages(self):
        self.check("ema")


if __name__ == "__main__":
    main()
