#include "elbo/objectives/adversarial.h"

#include <torch/autograd.h>

namespace elbo {

Tensor adaptive_weight(const Tensor& reconstruction, const Tensor& generator, const Tensor& last, const Tensor& weight) {
  if (!torch::GradMode::is_enabled() || !reconstruction.requires_grad() || !generator.requires_grad()) {
    return torch::zeros({}, reconstruction.options().requires_grad(false));
  }
  const auto norm_of_gradient = [&](const Tensor& loss) {
    constexpr bool kRetainGraph = true, kCreateGraph = false, kAllowUnused = true;
    const auto gradient = torch::autograd::grad({loss}, {last}, {}, kRetainGraph, kCreateGraph, kAllowUnused).front();
    return gradient.defined() ? gradient.norm() : torch::zeros({}, loss.options().requires_grad(false));
  };
  constexpr double kEpsilon = 1e-4, kLargest = 1e4;
  const auto ratio = norm_of_gradient(reconstruction) / (norm_of_gradient(generator) + kEpsilon);
  return (ratio.clamp(0, kLargest) * weight).detach();
}

Tensor hinge_loss(const Tensor& real, const Tensor& fake) {
  return (torch::relu(1 - real).mean({1, 2}) + torch::relu(1 + fake).mean({1, 2})) / 2;
}

}  // namespace elbo
