#include "elbo/distributions/laplace.h"

#include <numbers>

#include "formulas.h"

namespace elbo {

Laplace::Laplace(Tensor mean, Tensor log_scale, int64_t event_dims)
    : Distribution(mean, event_dims), mean_(std::move(mean)), log_scale_(std::move(log_scale)) {
  detail::check_parameter(log_scale_, mean_, "laplace: log_scale");
}

Tensor Laplace::variance() const { return (2 * (2 * log_scale_).exp()).expand_as(mean_); }

DistributionPtr Laplace::detached() const {
  return std::make_shared<Laplace>(mean_.detach(), log_scale_.detach(), detail::event_dims(*this));
}

Tensor Laplace::do_log_prob(const Tensor& value) const { return detail::sum_event(*this, do_log_prob_per_element(value)); }

Tensor Laplace::do_log_prob_per_element(const Tensor& value) const {
  return -(value - mean_).abs() * (-log_scale_).exp() - (log_scale_ + std::numbers::ln2);
}

Tensor Laplace::do_rsample(at::IntArrayRef leading, Noise& noise) const {
  const auto side = 2 * detail::open_uniform(noise, leading, event_shape()) - 1;  // the sign and the quantile of |x|
  return mean_ - log_scale_.exp() * side.sign() * torch::log1p(-side.abs());
}

Tensor Laplace::do_entropy() const { return detail::sum_event(*this, log_scale_ + (1 + std::numbers::ln2)); }

}  // namespace elbo
