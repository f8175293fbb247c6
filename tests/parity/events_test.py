"""TensorBoard's own reader reads a run's event file: scalars, pictures, histograms. Needs the tensorboard package."""
import glob
import os
import struct
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
from support import CliTest, is_png, main, metrics_of, write  # noqa: E402

try:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
except ImportError:
    EventAccumulator = None


@unittest.skipIf(EventAccumulator is None, "the tensorboard package is not installed for this Python")
class Events(CliTest):
    def test_tensorboard_reads_what_metrics_jsonl_says(self):
        run = self.train("run")
        events = EventAccumulator(run, size_guidance={"scalars": 0, "images": 0, "histograms": 0})
        events.Reload()
        tags = events.Tags()
        wanted = {}
        for line in metrics_of(run):
            for name, value in line.items():
                if name not in ("step", "epoch", "split") and isinstance(value, (int, float)):
                    wanted.setdefault(f"{line['split']}/{name}", []).append((line["step"], value))
        read = {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in tags["scalars"]}
        read = {tag: values for tag, values in read.items() if tag in wanted}
        self.assertEqual(set(read), set(wanted))
        self.assertIn("valid/bound", wanted)
        for tag, values in wanted.items():
            self.assertEqual([step for step, _ in read[tag]], [step for step, _ in values], tag)
            for (_, a), (_, b) in zip(read[tag], values):
                self.assertEqual(a, struct.unpack("<f", struct.pack("<f", b))[0], tag)

        self.assertEqual(sorted(tags["images"]), ["reconstructions", "samples"])
        for tag in tags["images"]:
            images = events.Images(tag)
            self.assertEqual([image.step for image in images], [15, 30])
            for image in images:
                path = os.path.join(run, "samples", f"step-{image.step}-{tag}.png")
                with open(path, "rb") as file:
                    content = file.read()
                self.assertTrue(is_png(write(self.path("picture.png"), image.encoded_image_string)))
                self.assertEqual((image.width, image.height), struct.unpack(">II", content[16:24]))
                self.assertEqual(image.encoded_image_string, content)

        self.assertEqual(tags["histograms"], ["valid/kl_per_unit/z"])
        for histogram in events.Histograms("valid/kl_per_unit/z"):
            value = histogram.histogram_value
            self.assertEqual((value.num, sum(value.bucket)), (4, 4))
            self.assertLessEqual(value.min, value.max)
        kl = [line["kl"] for line in metrics_of(run) if line["split"] == "valid" and "kl" in line]
        for histogram, total in zip(events.Histograms("valid/kl_per_unit/z"), kl):
            self.assertAlmostEqual(histogram.histogram_value.sum, total, places=3)


if __name__ == "__main__":
    main()
