#include "elbo/distributions/log_normal.h"

#include <cmath>

#include "formulas.h"

namespace elbo {

LogNormal::LogNormal(Tensor location, Tensor log_var, int64_t event_dims)
    : Distribution(location, event_dims), log_(std::move(location), std::move(log_var), event_dims) {}

Tensor LogNormal::mean() const { return (log_.mean() + 0.5 * log_.variance()).exp(); }
Tensor LogNormal::variance() const { return log_.variance().expm1() * (2 * log_.mean() + log_.variance()).exp(); }
Tensor LogNormal::mode() const { return (log_.mean() - log_.variance()).exp(); }

DistributionPtr LogNormal::detached() const {
  return std::make_shared<LogNormal>(log_.mean().detach(), log_.log_var().detach(), detail::event_dims(*this));
}

Tensor LogNormal::do_log_prob(const Tensor& value) const { return detail::sum_event(*this, do_log_prob_per_element(value)); }

Tensor LogNormal::do_log_prob_per_element(const Tensor& value) const {
  const auto possible = value > 0;
  const auto log_value = torch::where(possible, value, 1.0).log();
  return torch::where(possible, log_.log_prob_per_element(log_value) - log_value, -INFINITY);
}

Tensor LogNormal::do_rsample(at::IntArrayRef leading, Noise& noise) const { return log_.rsample(leading, noise).exp(); }

Tensor LogNormal::do_entropy() const { return log_.entropy() + detail::sum_event(*this, log_.mean()); }

}  // namespace elbo
