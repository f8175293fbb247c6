"""Pictures from the codes of smaller ones, through a folder of images: a base that reads `coarse`, and a second stage that enlarges it."""
import json
import shutil

from compress_test import array_of
from pictures import write_folder
from support import CliTest, is_png, main, metrics_of, tensors_of, write

NETWORK = "{type: vqgan, channels: 8, multipliers: [1, 2], blocks: 1, attention_size: 0, norm_groups: 4}"
DATA = "data: {type: image_folder, path: pictures, size: 16, coarse: 2, flip: true, batch_size: 32}\n"
BASE = f"""\
name: test/coarse
seed: 3
{DATA}model:
  type: vq_vae
  encoder: {NETWORK}
  decoder: {NETWORK}
  quantizer: {{type: ema, codes: 16, code_size: 4}}
  likelihood: {{type: laplace, scale: 0.5}}
objective: {{type: vq}}
training: {{epochs: 2}}
"""
ENLARGING = f"""\
name: test/enlarging
seed: 5
base: {{run: base}}
{DATA}model:
  type: asymmetric_vae
  decoder: {NETWORK}
  likelihood: {{type: laplace, scale: 0.5}}
objective:
  type: lower_bound_guided
  guided_steps: 4
  critic: {{channels: 4, layers: 1}}
  critic_weight: 0.5
training: {{epochs: 3, log_every_steps: 1}}
"""


class Enlarge(CliTest):
    def setUp(self):
        super().setUp()
        write_folder(self.path("data", "pictures"), 150, size=32)
        self.elbo("train", write(self.path("base.yaml"), BASE), "--run", "base", "--quiet")

    def second(self, name="second", *more, config=ENLARGING):
        return self.elbo("train", write(self.path(name + ".yaml"), config), "--run", name, *more)

    def test_both_stages_take_the_same_data_and_the_second_stands_alone(self):
        self.assertNotIn("the data are not those", self.second().err)
        logged = [line for line in metrics_of(self.path("second")) if line["split"] == "train"]
        self.assertTrue(any("guide" in line for line in logged))
        self.assertTrue(any("critic/loss" in line for line in logged))
        whole = tensors_of(self.path("second"))
        self.second("part", "--set", "training.epochs=2")
        shutil.rmtree(self.path("base"))
        self.second("part", "--resume")
        self.assertEqual(tensors_of(self.path("part")), whole)

        measured = json.loads(self.elbo("evaluate", "second", "--metrics", "bound,psnr", "--json", "-", "--quiet").out)["metrics"]
        self.assertGreater(measured["psnr_db"], 5)
        self.elbo("reconstruct", "second", "--count", "6", "--out", "r.npz")
        shapes = {name: array_of(self.path("r.npz"), name)[0] for name in ("x", "target", "reconstruction")}
        self.assertEqual(shapes, {"x": (6, 3, 8, 8), "target": (6, 3, 16, 16), "reconstruction": (6, 3, 16, 16)})
        x, target = array_of(self.path("r.npz"), "x")[1], array_of(self.path("r.npz"), "target")[1]
        square = [target[row * 16 + column] for row in (2, 3) for column in (4, 5)]  # of the first picture and channel
        self.assertAlmostEqual(x[1 * 8 + 2], sum(square) / 4, places=6)
        self.elbo("reconstruct", "second", "--out", "r.png")
        self.elbo("sample", "second", "--out", "s.png")
        self.elbo("report", "second", "--out", "report.html")
        self.assertTrue(is_png(self.path("r.png")) and is_png(self.path("s.png")))

    def test_a_quantised_model_enlarges_by_itself(self):
        config = BASE.replace("  likelihood", "  target: target\n  likelihood").replace("decoder: " + NETWORK, "decoder: " + NETWORK.replace("[1, 2]", "[1, 2, 2]"))
        self.elbo("train", write(self.path("one.yaml"), config), "--run", "one", "--quiet")
        self.elbo("reconstruct", "one", "--count", "2", "--out", "r.npz")
        self.assertEqual(array_of(self.path("r.npz"), "reconstruction")[0], (2, 3, 16, 16))

    def test_what_does_not_fit_is_refused(self):
        bad = {
            "take the base's data section": ENLARGING.replace("coarse: 2, ", ""),
            "squares of 3 x 3 don't fill pictures of 16 x 16": ENLARGING.replace("coarse: 2", "coarse: 3"),
            "means of pixels that are 0 or 1 are neither": ENLARGING.replace("coarse: 2", "coarse: 2, binarize: static"),
            "which has no decoder.stem.weight": ENLARGING.replace("channels: 8", "channels: 16"),
        }
        for says, config in bad.items():
            with self.subTest(says):
                self.refused(2, "train", write(self.path("bad.yaml"), config), "--run", "bad", says=says)


if __name__ == "__main__":
    main()
