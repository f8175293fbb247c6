#include "elbo/distributions/poisson.h"

#include "formulas.h"

namespace elbo {

Poisson::Poisson(Tensor log_rate, int64_t event_dims) : Distribution(log_rate, event_dims), log_rate_(std::move(log_rate)) {}

DistributionPtr Poisson::detached() const { return std::make_shared<Poisson>(log_rate_.detach(), detail::event_dims(*this)); }

Tensor Poisson::do_log_prob(const Tensor& value) const { return detail::sum_event(*this, do_log_prob_per_element(value)); }

Tensor Poisson::do_log_prob_per_element(const Tensor& value) const {
  // In float64: a count of a million has terms of 1e7 that cancel to a few nats.
  const auto x = value.to(torch::kDouble), log_rate = log_rate_.to(torch::kDouble);
  return (x * log_rate - log_rate.exp() - torch::lgamma(x + 1)).to(log_rate_.scalar_type());
}

Tensor Poisson::do_sample(at::IntArrayRef leading, Noise& noise) const {
  const auto u = noise.uniform(leading, event_shape()).to(torch::kDouble);
  return detail::poisson_quantile(log_rate_.to(torch::kDouble).exp(), u).to(log_rate_.scalar_type());
}

}  // namespace elbo
