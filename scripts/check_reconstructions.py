#!/usr/bin/env python3
"""Does one recognise what a run reconstructs or draws? A nearest-centroid classifier says so; needs numpy (.venv has it).

    elbo reconstruct RUN --count 1000 --out reconstructions.npz
    .venv/bin/python scripts/check_reconstructions.py reconstructions.npz data/fashion_mnist
    elbo sample RUN --count 1000 --out samples.npz     # of a model with classes
    .venv/bin/python scripts/check_reconstructions.py samples.npz data/fashion_mnist

The ten class means of the training images are the centroids; prints the share of originals and of reconstructions it labels right, or
of samples that it takes for the class that was asked for, beside the share of all test images.
"""
import gzip
import sys

import numpy


def idx(path, header):
    with gzip.open(path) as file:
        return numpy.frombuffer(file.read(), numpy.uint8, offset=header)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    archive, folder = numpy.load(sys.argv[1]), sys.argv[2]
    images = idx(f"{folder}/train-images-idx3-ubyte.gz", 16).reshape(60000, -1) / 255.0
    labels = idx(f"{folder}/train-labels-idx1-ubyte.gz", 8)
    centroids = numpy.stack([images[labels == label].mean(0) for label in range(10)])

    def accuracy(pictures, truth):
        pictures = pictures.reshape(len(pictures), -1)
        # |x - c|^2 without the |x|^2 that all classes share
        distances = (centroids ** 2).sum(1) - 2 * pictures @ centroids.T
        return (distances.argmin(1) == truth).mean()

    if "reconstruction" in archive:
        print(f"nearest centroid labels {accuracy(archive['x'], archive['label']):.1%} of {len(archive['x'])} originals right, "
              f"{accuracy(archive['reconstruction'], archive['label']):.1%} of their reconstructions")
    else:
        test = idx(f"{folder}/t10k-images-idx3-ubyte.gz", 16).reshape(10000, -1) / 255.0
        right = accuracy(test, idx(f"{folder}/t10k-labels-idx1-ubyte.gz", 8))
        print(f"nearest centroid labels {accuracy(archive['x'], archive['label']):.1%} of {len(archive['x'])} samples with the class "
              f"asked for, and {right:.1%} of the test images right")


if __name__ == "__main__":
    main()
