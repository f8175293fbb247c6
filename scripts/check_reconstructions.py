#!/usr/bin/env python3
"""Does one recognise what a run reconstructs? A nearest-centroid classifier says so; needs numpy (.venv has it).

    elbo reconstruct RUN --count 1000 --out reconstructions.npz
    .venv/bin/python scripts/check_reconstructions.py reconstructions.npz data/fashion_mnist

The ten class means of the training images are the centroids; prints the share of originals and of reconstructions it labels right.
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

    def accuracy(pictures):
        pictures = pictures.reshape(len(pictures), -1)
        distances = ((pictures[:, None, :] - centroids[None]) ** 2).sum(-1)
        return (distances.argmin(1) == archive["label"]).mean()

    print(f"nearest centroid labels {accuracy(archive['x']):.1%} of {len(archive['x'])} originals right, "
          f"{accuracy(archive['reconstruction']):.1%} of their reconstructions")


if __name__ == "__main__":
    main()
