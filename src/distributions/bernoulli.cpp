#include "elbo/distributions/bernoulli.h"

#include "elbo/ops/op.h"

namespace elbo {

Bernoulli::Bernoulli(Tensor logits, int64_t event_dims) : Distribution(logits, event_dims), logits_(std::move(logits)) {}

Tensor Bernoulli::variance() const { return logits_.sigmoid() * (-logits_).sigmoid(); }

DistributionPtr Bernoulli::detached() const {
  return std::make_shared<Bernoulli>(logits_.detach(), static_cast<int64_t>(event_shape().size()));
}

Tensor Bernoulli::do_log_prob(const Tensor& value) const {
  return bernoulli_log_prob(logits_, value, static_cast<int64_t>(event_shape().size()));
}

Tensor Bernoulli::do_log_prob_per_element(const Tensor& value) const { return bernoulli_log_prob(logits_, value, 0); }

Tensor Bernoulli::do_sample(at::IntArrayRef leading, Noise& noise) const {
  return (noise.uniform(leading, event_shape()) < logits_.sigmoid()).to(logits_.scalar_type());
}

Tensor Bernoulli::do_entropy() const {
  // -p log p - (1 - p) log(1 - p), even in the logit; by |l| no term cancels.
  const auto magnitude = logits_.abs();
  const auto units = magnitude * (-magnitude).sigmoid() - torch::log_sigmoid(magnitude);
  return sum_last(units, static_cast<int64_t>(event_shape().size()));
}

}  // namespace elbo
