#include "elbo/nn/gdn.h"

#include <cmath>

#include "elbo/math/lower_bound.h"

namespace elbo {
namespace {

constexpr double kPedestal = 0x1p-36, kLeastBeta = 1e-6;

Tensor gdn_value(const Tensor& parameter, double least) {
  return lower_bounded(parameter, std::sqrt(least + kPedestal)).square() - kPedestal;
}

}  // namespace

Gdn::Gdn(int64_t channels, GdnDirection direction) : direction_(direction) {
  constexpr double kGamma = 0.1;
  beta_ = register_parameter("beta", (torch::ones({channels}) + kPedestal).sqrt());
  gamma_ = register_parameter("gamma", (kGamma * torch::eye(channels) + kPedestal).sqrt());
}

Tensor Gdn::forward(const Tensor& x) {
  const auto C = gamma_.size(0);
  const auto squared = torch::conv2d(x.square(), gdn_value(gamma_, 0).view({C, C, 1, 1}), gdn_value(beta_, kLeastBeta));
  return direction_ == GdnDirection::divide ? x * squared.rsqrt() : x * squared.sqrt();
}

}  // namespace elbo
