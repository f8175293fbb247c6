#pragma once
#include "elbo/distributions/normal.h"

namespace elbo {

/// Independent log-normal variables: exp of N(location, exp(log_var)). The density of values <= 0 is zero.
class LogNormal final : public Distribution {
 public:
  /// Shapes: location [batch..., event...] with `event_dims` event extents; log_var the same, or 0-dim for one variance of all
  /// elements.
  LogNormal(Tensor location, Tensor log_var, int64_t event_dims = 1);

  bool has_rsample() const override { return true; }
  Tensor mean() const override;
  Tensor variance() const override;
  Tensor mode() const override;
  DistributionPtr detached() const override;
  std::string_view name() const override { return "log_normal"; }

  /// The distribution of the value's logarithm.
  const Normal& log() const { return log_; }

 private:
  Tensor do_log_prob(const Tensor& value) const override;
  Tensor do_sample(at::IntArrayRef leading, Noise& noise) const override { return do_rsample(leading, noise); }
  Tensor do_rsample(at::IntArrayRef leading, Noise& noise) const override;
  Tensor do_log_prob_per_element(const Tensor& value) const override;
  Tensor do_entropy() const override;

  Normal log_;
};

}  // namespace elbo
