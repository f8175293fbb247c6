#!/usr/bin/env python3
"""Writes tests/golden/*.h: expected numbers from torch.distributions, in float64, on fixed inputs.

    .venv/bin/python scripts/make_golden.py           # writes the files
    .venv/bin/python scripts/make_golden.py --check   # exits 1 where a file would change

Nothing is drawn: the inputs are sines, so the output depends on PyTorch's mathematics only. A section is one function that returns
named tensors; add one to SECTIONS to get tests/golden/<name>.h.
"""
import argparse
import math
import pathlib
import sys

import torch
import torch.distributions as td

ROOT = pathlib.Path(__file__).resolve().parent.parent


def wavy(*shape, phase=0.0, scale=1.0):
    count = math.prod(shape)
    return ((torch.arange(count, dtype=torch.float64) * 1.7 + phase).sin() * scale).reshape(shape)


def normal(mean, log_var):
    return td.Independent(td.Normal(mean, (0.5 * log_var).exp()), 1)


def distributions():
    out = {}

    mean, log_var, value = wavy(2, 3), wavy(2, 3, phase=0.5, scale=2), wavy(4, 2, 3, phase=1, scale=3)
    q = normal(mean, log_var)
    out |= dict(normal_mean=mean, normal_log_var=log_var, normal_value=value, normal_log_prob=q.log_prob(value), normal_entropy=q.entropy())

    other_mean, other_log_var = wavy(2, 3, phase=2), wavy(2, 3, phase=2.5)
    p = normal(other_mean, other_log_var)
    standard = normal(torch.zeros(2, 3, dtype=torch.float64), torch.zeros(2, 3, dtype=torch.float64))
    out |= dict(normal_other_mean=other_mean, normal_other_log_var=other_log_var, normal_normal_kl=td.kl_divergence(q, p),
                normal_standard_kl=td.kl_divergence(q, standard), standard_normal_kl=td.kl_divergence(standard, p),
                standard_log_prob=standard.log_prob(value))

    logits = torch.tensor([[-1e4, -100, -20, -0.5, 0], [1e-3, 0.5, 20, 100, 1e4]], dtype=torch.float64)
    target = torch.tensor([[0, 1, 1, 0, 1], [1, 0, 0, 1, 1]], dtype=torch.float64)
    b = td.Independent(td.Bernoulli(logits=logits), 1)
    out |= dict(bernoulli_logits=logits, bernoulli_target=target, bernoulli_log_prob=b.log_prob(target))
    mild, other = wavy(2, 5, scale=3), wavy(2, 5, phase=1, scale=2)
    b, r = td.Independent(td.Bernoulli(logits=mild), 1), td.Independent(td.Bernoulli(logits=other), 1)
    out |= dict(bernoulli_mild=mild, bernoulli_other=other, bernoulli_entropy=b.entropy(), bernoulli_variance=b.variance,
                bernoulli_kl=td.kl_divergence(b, r))

    logits, value = wavy(2, 4, scale=2), torch.tensor([[3, 0], [1, 2], [0, 3]])
    other = wavy(2, 4, phase=1)
    c, d = td.Categorical(logits=logits), td.Categorical(logits=other)
    out |= dict(categorical_logits=logits, categorical_value=value, categorical_log_prob=c.log_prob(value), categorical_entropy=c.entropy(),
                categorical_other=other, categorical_kl=td.kl_divergence(c, d))
    pixels = wavy(2, 4, 2, 3, phase=3, scale=2)  # [B, V, H, W]
    classes = torch.arange(12).reshape(2, 2, 3) % 4
    c = td.Independent(td.Categorical(logits=pixels.movedim(1, -1)), 2)
    out |= dict(pixel_logits=pixels, pixel_value=classes, pixel_log_prob=c.log_prob(classes), pixel_entropy=c.entropy())

    logits, means, log_vars, value = wavy(3), wavy(3, 2, phase=1, scale=3), wavy(3, 2, phase=2), wavy(5, 2, phase=4, scale=4)
    m = td.MixtureSameFamily(td.Categorical(logits=logits), normal(means, log_vars))
    out |= dict(mixture_logits=logits, mixture_means=means, mixture_log_vars=log_vars, mixture_value=value,
                mixture_log_prob=m.log_prob(value), mixture_mean=m.mean, mixture_variance=m.variance)
    return out


SECTIONS = {"distributions": distributions}


def header(name, tensors):
    lines = [
        f"// Written by scripts/make_golden.py ({name}) with PyTorch {torch.__version__.split('+')[0]} in float64: do not edit.",
        "#pragma once", '#include "support/tensors.h"', "", "// clang-format off", f"namespace elbo::golden::{name} {{", ""]
    for key, tensor in tensors.items():
        numbers = ", ".join(repr(float(v)) for v in tensor.flatten())
        shape = ", ".join(str(n) for n in tensor.shape)
        lines.append(f"inline Tensor {key}() {{ return values({{{numbers}}}, {{{shape}}}); }}")
    return "\n".join(lines + ["", f"}}  // namespace elbo::golden::{name}", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file would change")
    check = parser.parse_args().check
    stale = []
    for name, section in SECTIONS.items():
        path, text = ROOT / "tests" / "golden" / f"{name}.h", header(name, section())
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            stale.append(str(path.relative_to(ROOT)))
    if stale:
        sys.exit("stale: " + ", ".join(stale) + "; run scripts/make_golden.py")


if __name__ == "__main__":
    main()
