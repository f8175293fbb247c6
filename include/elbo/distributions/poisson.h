#pragma once
#include "elbo/distributions/distribution.h"

namespace elbo {

/// Independent counts 0, 1, 2, … of rate exp(log_rate). Has no closed-form entropy.
class Poisson final : public Distribution {
 public:
  /// Shapes: log_rate [batch..., event...].
  Poisson(Tensor log_rate, int64_t event_dims = 1);

  Tensor mean() const override { return log_rate_.exp(); }
  Tensor variance() const override { return log_rate_.exp(); }
  Tensor mode() const override { return log_rate_.exp().floor(); }
  DistributionPtr detached() const override;
  std::string_view name() const override { return "poisson"; }

  const Tensor& log_rate() const { return log_rate_; }

 private:
  Tensor do_log_prob(const Tensor& value) const override;
  Tensor do_sample(at::IntArrayRef leading, Noise& noise) const override;
  Tensor do_log_prob_per_element(const Tensor& value) const override;

  Tensor log_rate_;
};

}  // namespace elbo
