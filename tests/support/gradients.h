#pragma once
#include <torch/csrc/autograd/autograd.h>

#include <functional>

#include "support/tensors.h"

namespace elbo {

struct GradientCheck {
  double step = 1e-5;
  double rtol = 1e-6;
  double atol = 1e-8;
};

/// Compares the autograd gradient of fn at `inputs` (made float64 leaves) with central differences, element by element.
/// A tensor-valued fn is reduced by fixed, distinct weights, so that every output counts. fn must be deterministic: fix its noise
/// outside.
inline void expect_gradient_matches(const std::function<Tensor(const std::vector<Tensor>&)>& fn, std::vector<Tensor> inputs,
                                    const GradientCheck& check = {}) {
  for (auto& input : inputs) input = input.detach().to(torch::kDouble).contiguous().clone().set_requires_grad(true);
  const auto scalar = [&] {
    const auto output = fn(inputs);
    return (output * (wavy(output.sizes(), 0.3) + 1.5)).sum();
  };
  const auto gradients = torch::autograd::grad({scalar()}, inputs, {}, std::nullopt, false, /*allow_unused=*/true);
  torch::NoGradGuard no_grad;
  for (size_t i = 0; i < inputs.size(); ++i) {
    SCOPED_TRACE("gradient of input " + std::to_string(i));
    auto numeric = torch::zeros_like(inputs[i]);
    auto flat = inputs[i].detach().view(-1);
    for (int64_t j = 0; j < flat.numel(); ++j) {
      const auto centre = flat[j].item<double>();
      flat[j].fill_(centre + check.step);
      const auto above = scalar().item<double>();
      flat[j].fill_(centre - check.step);
      const auto below = scalar().item<double>();
      flat[j].fill_(centre);
      numeric.view(-1)[j].fill_((above - below) / (2 * check.step));
    }
    expect_close(gradients[i].defined() ? gradients[i] : torch::zeros_like(inputs[i]), numeric, check.rtol, check.atol);
  }
}

/// The gradient of sum(output) by one input.
inline Tensor gradient_of(const Tensor& output, const Tensor& input) {
  return torch::autograd::grad({output.sum()}, {input}, {}, true, false, true)[0];
}

}  // namespace elbo
