#!/usr/bin/env python3
"""Writes tests/golden/*.h: expected numbers from torch.distributions, in float64, on fixed inputs. Where its formulas cancel or it has
none, the numbers are mpmath's with 60 digits, which PyTorch brings along (through sympy).

    .venv/bin/python scripts/make_golden.py           # writes the files
    .venv/bin/python scripts/make_golden.py --check   # exits 1 where a file would change

Nothing is drawn: the inputs are sines, so the output depends on PyTorch's mathematics only. A section is one function that returns
named tensors; add one to SECTIONS to get tests/golden/<name>.h.
"""
import argparse
import math
import pathlib
import sys

import mpmath
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
    for more in (continuous, counts, levels, joint, transformed):
        out |= more()
    return out


def rows(distribution):
    return td.Independent(distribution, 1)


def exact(function, *tensors):
    """function of mpmath numbers, element by element with 60 digits, rounded to float64 at the end."""
    tensors = torch.broadcast_tensors(*tensors)
    with mpmath.workdps(60):
        numbers = [float(function(*(mpmath.mpf(float(v)) for v in row))) for row in zip(*(t.flatten() for t in tensors))]
    return torch.tensor(numbers, dtype=torch.float64).reshape(tensors[0].shape)


def continuous():
    out = {}
    mean, log_scale, value = wavy(2, 3), wavy(2, 3, phase=0.5, scale=2), wavy(4, 2, 3, phase=1, scale=3)
    other_mean, other_log_scale = wavy(2, 3, phase=2), wavy(2, 3, phase=2.5)
    q, p = rows(td.Laplace(mean, log_scale.exp())), rows(td.Laplace(other_mean, other_log_scale.exp()))
    out |= dict(location=mean, log_scale=log_scale, other_location=other_mean, other_log_scale=other_log_scale, real_value=value,
                laplace_log_prob=q.log_prob(value), laplace_entropy=q.entropy(), laplace_variance=q.variance,
                laplace_kl=td.kl_divergence(q, p))

    df = wavy(2, 3, phase=3).exp() * 3
    t = rows(td.StudentT(df, mean, log_scale.exp()))
    out |= dict(student_t_df=df, student_t_log_prob=t.log_prob(value), student_t_entropy=t.entropy(),
                student_t_mean=t.mean, student_t_variance=t.variance)
    df, x = torch.tensor([1e-2, 1, 150, 1e4, 1e7, 1e12], dtype=torch.float64), torch.tensor([0, 1.5, 30], dtype=torch.float64).unsqueeze(1)
    out |= dict(student_t_wide_df=df, student_t_wide_value=x, student_t_wide_log_prob=exact(
        lambda v, y: mpmath.loggamma((v + 1) / 2) - mpmath.loggamma(v / 2) - mpmath.log(v * mpmath.pi) / 2
        - (v + 1) / 2 * mpmath.log1p(y * y / v), df, x))

    scale, other_scale, positive = (0.25 * log_scale).exp(), (0.25 * other_log_scale).exp(), (0.5 * value).exp()
    q, p = rows(td.LogNormal(mean, scale)), rows(td.LogNormal(other_mean, other_scale))
    out |= dict(log_normal_log_var=0.5 * log_scale, log_normal_other_log_var=0.5 * other_log_scale, log_normal_value=positive,
                log_normal_log_prob=q.log_prob(positive), log_normal_entropy=q.entropy(), log_normal_mean=q.mean,
                log_normal_variance=q.variance, log_normal_mode=q.mode, log_normal_kl=td.kl_divergence(q, p))

    logits, unit = wavy(2, 3, scale=4), (wavy(4, 2, 3, phase=1) + 1) / 2
    q, p = rows(td.ContinuousBernoulli(logits=logits)), rows(td.ContinuousBernoulli(logits=wavy(2, 3, phase=2, scale=3)))
    out |= dict(continuous_bernoulli_logits=logits, continuous_bernoulli_value=unit, continuous_bernoulli_log_prob=q.log_prob(unit),
                continuous_bernoulli_other=wavy(2, 3, phase=2, scale=3), continuous_bernoulli_kl=td.kl_divergence(q, p))
    logits = torch.tensor([-1e4, -80, -3, -0.51, -0.49, -0.1, -1e-3, 0, 1e-9, 0.03, 0.3, 0.499, 0.501, 2, 20, 1e3], dtype=torch.float64)

    def integral(l):  # log of the integral of e^(l x) over [0, 1]
        return mpmath.log(mpmath.expm1(l) / l) if l else mpmath.mpf(0)

    def average(l):
        return -1 / mpmath.expm1(-l) - 1 / l if l else mpmath.mpf(1) / 2

    def spread(l):
        return 1 / l**2 - 1 / (4 * mpmath.sinh(l / 2) ** 2) if l else mpmath.mpf(1) / 12

    out |= dict(continuous_bernoulli_wide_logits=logits, continuous_bernoulli_normaliser=exact(integral, logits),
                continuous_bernoulli_mean=exact(average, logits), continuous_bernoulli_variance=exact(spread, logits),
                continuous_bernoulli_entropy=exact(lambda l: integral(l) - l * average(l), logits))
    return out


def counts():
    out = {}
    logits, index = wavy(2, 3, 4, scale=2), torch.arange(4 * 2 * 3).reshape(4, 2, 3) % 4
    value = torch.nn.functional.one_hot(index, 4).double()
    q, p = rows(td.OneHotCategorical(logits=logits)), rows(td.OneHotCategorical(logits=wavy(2, 3, 4, phase=1)))
    out |= dict(one_hot_logits=logits, one_hot_other=wavy(2, 3, 4, phase=1), one_hot_value=value, one_hot_log_prob=q.log_prob(value),
                one_hot_entropy=q.entropy(), one_hot_variance=q.variance, one_hot_kl=td.kl_divergence(q, p))

    log_rate, other, value = wavy(2, 3, scale=4), wavy(2, 3, phase=1, scale=3), (torch.arange(24).reshape(4, 2, 3) ** 2 % 37).double()
    q, p = rows(td.Poisson(log_rate.exp())), rows(td.Poisson(other.exp()))
    out |= dict(log_rate=log_rate, other_log_rate=other, count_value=value, poisson_log_prob=q.log_prob(value),
                poisson_kl=td.kl_divergence(q, p))
    total_count, logits = wavy(2, 3, phase=2, scale=2).exp(), wavy(2, 3, scale=2)
    q = rows(td.NegativeBinomial(total_count, logits=logits))
    out |= dict(negative_binomial_total_count=total_count, negative_binomial_logits=logits, negative_binomial_log_prob=q.log_prob(value),
                negative_binomial_mean=q.mean, negative_binomial_variance=q.variance, negative_binomial_mode=q.mode)
    return out


def levels():
    location, log_scale = torch.tensor([-0.5, 0.002, 0.3, 0.998, 1.4]).double(), torch.tensor([-9, -7, -3, 0, 2]).double().unsqueeze(1)
    value = (torch.tensor([0, 1, 77, 128, 254, 255]).double() / 256).reshape(6, 1, 1)

    def sigmoid(x):
        return 1 / (1 + mpmath.exp(-x))

    def mass(x, m, log_s):
        s = mpmath.exp(log_s)
        above = mpmath.mpf(1) if x == mpmath.mpf(255) / 256 else sigmoid((x + mpmath.mpf(1) / 256 - m) / s)
        below = mpmath.mpf(0) if x == 0 else sigmoid((x - m) / s)
        return above - below

    def log_mass(x, m, log_s):
        # Far right the sigmoids agree in more than all digits there are: by symmetry the difference lies far left instead.
        with mpmath.workdps(2000):
            if m < x:
                s, high = mpmath.exp(log_s), x + mpmath.mpf(1) / 256
                above = mpmath.mpf(0) if x == mpmath.mpf(255) / 256 else sigmoid((m - high) / s)
                below = mpmath.mpf(1) if x == 0 else sigmoid((m - x) / s)
                return mpmath.log(below - above)
            return mpmath.log(mass(x, m, log_s))

    out = dict(level_value=value, level_location=location, level_log_scale=log_scale, level_log_prob=exact(log_mass, value, location, log_scale))
    grid = torch.arange(256).double() / 256
    m, log_s = torch.tensor([[0.1], [0.997]]).double(), torch.tensor([[-2.5], [-5]]).double()
    masses = exact(mass, grid, m, log_s)
    average = (masses * grid).sum(1)
    out |= dict(level_moment_location=m, level_moment_log_scale=log_s, level_mean=average,
                level_variance=(masses * (grid - average.unsqueeze(1)) ** 2).sum(1))

    logits, means, log_scales = wavy(2, 3, 2), (wavy(2, 3, 2, phase=1) + 1) / 2, wavy(2, 3, 2, phase=2) - 3  # two components
    value = (torch.arange(24).reshape(4, 2, 3) * 11 % 256).double() / 256
    each = exact(log_mass, value.unsqueeze(-1), means, log_scales)
    out |= dict(level_mixture_logits=logits, level_mixture_means=means, level_mixture_log_scales=log_scales, level_mixture_value=value,
                level_mixture_log_prob=(logits.log_softmax(-1) + each).logsumexp(-1).sum(-1))
    return out


def joint():
    mean, other_mean, value = wavy(2, 3), wavy(2, 3, phase=2), wavy(4, 2, 3, phase=1, scale=3)
    factor = wavy(2, 3, 3, phase=0.7).tril() + 1.5 * torch.eye(3, dtype=torch.float64)
    other_factor = wavy(2, 3, 3, phase=1.9).tril() + 1.5 * torch.eye(3, dtype=torch.float64)
    log_var = wavy(2, 3, phase=0.5)
    q, p = td.MultivariateNormal(mean, scale_tril=factor), td.MultivariateNormal(other_mean, scale_tril=other_factor)
    diagonal = td.MultivariateNormal(other_mean, scale_tril=torch.diag_embed((0.5 * log_var).exp()))
    standard = td.MultivariateNormal(torch.zeros(2, 3, dtype=torch.float64), torch.eye(3, dtype=torch.float64))
    return dict(full_mean=mean, full_factor=factor, full_other_mean=other_mean, full_other_factor=other_factor, full_log_var=log_var,
                full_value=value, full_log_prob=q.log_prob(value), full_entropy=q.entropy(), full_variance=q.variance,
                full_covariance=q.covariance_matrix, full_full_kl=td.kl_divergence(q, p), full_diagonal_kl=td.kl_divergence(q, diagonal),
                diagonal_full_kl=td.kl_divergence(diagonal, q), full_standard_kl=td.kl_divergence(q, standard),
                standard_full_kl=td.kl_divergence(standard, q))


def transformed():
    mean, log_var, point = wavy(2, 3), wavy(2, 3, phase=0.5), wavy(4, 2, 3, phase=1, scale=2)
    out = dict(image_mean=mean, image_log_var=log_var)
    base = td.Normal(mean, (0.5 * log_var).exp())
    for name, parts in {"affine": [td.AffineTransform(0.7, 2.5)], "exp": [td.ExpTransform()], "sigmoid": [td.SigmoidTransform()],
                        "softplus": [td.SoftplusTransform()], "tanh": [td.TanhTransform()],
                        "composed": [td.AffineTransform(0.7, 2.5), td.SoftplusTransform(), td.AffineTransform(0.7, 2.5)]}.items():
        distribution = rows(td.TransformedDistribution(base, parts))
        value = point
        for part in parts:
            value = part(value)
        value = value.detach().clone()  # without the transform's memory of where it came from
        out |= {f"{name}_value": value, f"{name}_log_prob": distribution.log_prob(value)}
    return out


SECTIONS = {"distributions": distributions}


def header(name, tensors):
    lines = [
        f"// Written by scripts/make_golden.py ({name}) with PyTorch {torch.__version__.split('+')[0]} in float64: do not edit.",
        "#pragma once", '#include "support/tensors.h"', "", "// clang-format off", f"namespace elbo::golden::{name} {{", ""]
    for key, tensor in tensors.items():
        numbers = ", ".join(repr(float(v)).replace("inf", "INFINITY") for v in tensor.flatten())
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
