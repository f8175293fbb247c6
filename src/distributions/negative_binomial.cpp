#include "elbo/distributions/negative_binomial.h"

#include "formulas.h"

namespace elbo {
namespace {

/// log Gamma(r + x) - log Gamma(r), in float64; from r = 100 on by Stirling's series, as the two grow alike.
Tensor log_rising(const Tensor& r, const Tensor& x) {
  constexpr double kFar = 100;
  const auto near = r.clamp_max(kFar), far = r.clamp_min(kFar), end = far + x;
  const auto rest = [](const Tensor& z) { return (1. / 12 - (1. / 360 - 1. / 1260 / z.square()) / z.square()) / z; };
  const auto series = (end - 0.5) * torch::log1p(x / far) + x * (far.log() - 1) + rest(end) - rest(far);
  return torch::where(r < kFar, torch::lgamma(near + x) - torch::lgamma(near), series);
}

}  // namespace

NegativeBinomial::NegativeBinomial(Tensor total_count, Tensor logits, int64_t event_dims)
    : Distribution(logits, event_dims), total_count_(std::move(total_count)), logits_(std::move(logits)) {
  detail::check_parameter(total_count_, logits_, "negative_binomial: total_count");
}

std::shared_ptr<NegativeBinomial> NegativeBinomial::with_mean(const Tensor& log_mean, const Tensor& log_total_count,
                                                              int64_t event_dims) {
  return std::make_shared<NegativeBinomial>(log_total_count.exp(), log_mean - log_total_count, event_dims);
}

Tensor NegativeBinomial::mean() const { return total_count_ * logits_.exp(); }
Tensor NegativeBinomial::variance() const { return mean() * (1 + logits_.exp()); }
Tensor NegativeBinomial::mode() const { return ((total_count_ - 1).clamp_min(0) * logits_.exp()).floor(); }

DistributionPtr NegativeBinomial::detached() const {
  return std::make_shared<NegativeBinomial>(total_count_.detach(), logits_.detach(), detail::event_dims(*this));
}

Tensor NegativeBinomial::do_log_prob(const Tensor& value) const {
  return detail::sum_event(*this, do_log_prob_per_element(value));
}

Tensor NegativeBinomial::do_log_prob_per_element(const Tensor& value) const {
  // In float64: as total_count grows the terms do, and their sum does not.
  const auto x = value.to(torch::kDouble), r = total_count_.to(torch::kDouble), logits = logits_.to(torch::kDouble);
  const auto log_choices = log_rising(r, x) - torch::lgamma(x + 1);
  return (log_choices + r * torch::log_sigmoid(-logits) + x * torch::log_sigmoid(logits)).to(logits_.scalar_type());
}

Tensor NegativeBinomial::do_sample(at::IntArrayRef leading, Noise& noise) const {
  const auto u = noise.uniform(leading, event_shape()).to(torch::kDouble);
  const auto v = noise.uniform(leading, event_shape()).to(torch::kDouble);
  const auto rate = detail::gamma_quantile(total_count_.to(torch::kDouble), u) * logits_.to(torch::kDouble).exp();
  return detail::poisson_quantile(rate, v).to(logits_.scalar_type());
}

}  // namespace elbo
