"""The peers of apps/bench/nearest.cpp, with its protocol. Usage: torch_nearest.py KIND N V D THREADS; KIND is `chunked` (addmm and argmin
over blocks of rows) or `library` (vector-quantize-pytorch's codebook, which holds all N x V distances)."""
import sys
import time

import torch


def chunked(z, codes, rows=2048):
    half_squares = 0.5 * codes.square().sum(1)
    return torch.cat([torch.addmm(half_squares, part, codes.t(), alpha=-1).argmin(1) for part in z.split(rows)])


def library(codes):
    from vector_quantize_pytorch import VectorQuantize

    model = VectorQuantize(dim=codes.shape[1], codebook_size=len(codes)).eval()
    model.codebook = codes
    return lambda z: model(z.unsqueeze(0))[1]


def peak_megabytes():
    with open("/proc/self/status") as status:
        return next(float(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM:"))


@torch.no_grad()
def main():
    kind, (N, V, D, threads) = sys.argv[1], map(int, sys.argv[2:6])
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    z, codes = torch.randn(N, D), torch.randn(V, D)
    search = library(codes) if kind == "library" else lambda rows: chunked(rows, codes)
    search(z[:16])
    print("ready", flush=True)
    for line in sys.stdin:
        if line.strip() == "memory":
            print(peak_megabytes(), flush=True)
            continue
        start = time.perf_counter()
        search(z)
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
