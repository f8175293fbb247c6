#pragma once
#include "elbo/distributions/distribution.h"

namespace elbo {

/// Independent variables on [0, 1] of density C(l) l^x (1 - l)^(1 - x) with l = sigmoid(logit): what a Bernoulli's cross-entropy
/// on grey values lacks to be a likelihood. The density outside [0, 1] is zero.
/// Source: Loaiza-Ganem & Cunningham 2019 (arXiv:1907.06845), eqs. 5-8; here in the logit, with a Taylor series around 0.
class ContinuousBernoulli final : public Distribution {
 public:
  /// Shapes: logits [batch..., event...].
  ContinuousBernoulli(Tensor logits, int64_t event_dims = 1);

  bool has_rsample() const override { return true; }
  /// Not sigmoid(logit), which is the parameter l: further from the edges.
  Tensor mean() const override;
  Tensor variance() const override;
  /// An edge: 1 for positive logits, else 0.
  Tensor mode() const override { return (logits_ > 0).to(logits_.scalar_type()); }
  DistributionPtr detached() const override;
  std::string_view name() const override { return "continuous_bernoulli"; }

  const Tensor& logits() const { return logits_; }
  /// log of the integral of exp(logit x) over [0, 1], of which mean and variance are the derivatives; the density is
  /// exp(logit x - log_normaliser). Shapes: [batch..., event...].
  Tensor log_normaliser() const;

 private:
  Tensor do_log_prob(const Tensor& value) const override;
  Tensor do_sample(at::IntArrayRef leading, Noise& noise) const override { return do_rsample(leading, noise); }
  Tensor do_rsample(at::IntArrayRef leading, Noise& noise) const override;
  Tensor do_log_prob_per_element(const Tensor& value) const override;
  Tensor do_entropy() const override;

  Tensor logits_;
};

}  // namespace elbo
