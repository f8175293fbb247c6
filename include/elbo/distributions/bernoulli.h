#pragma once
#include "elbo/distributions/distribution.h"

namespace elbo {

/// Independent binary variables by their logits.
class Bernoulli final : public Distribution {
 public:
  /// Shapes: logits [batch..., event...].
  Bernoulli(Tensor logits, int64_t event_dims);

  /// The probabilities of a one.
  Tensor mean() const override { return logits_.sigmoid(); }
  Tensor variance() const override;
  Tensor mode() const override { return (logits_ > 0).to(logits_.scalar_type()); }
  DistributionPtr detached() const override;
  std::string_view name() const override { return "bernoulli"; }

  const Tensor& logits() const { return logits_; }

 private:
  Tensor do_log_prob(const Tensor& value) const override;
  Tensor do_sample(at::IntArrayRef leading, Noise& noise) const override;
  Tensor do_log_prob_per_element(const Tensor& value) const override;
  Tensor do_entropy() const override;

  Tensor logits_;
};

}  // namespace elbo
