#pragma once
#include "elbo/distributions/distribution.h"

namespace elbo {

/// Independent Laplace variables: density exp(-|x - mean| / scale) / (2 scale) with scale = exp(log_scale).
class Laplace final : public Distribution {
 public:
  /// Shapes: mean [batch..., event...] with `event_dims` event extents; log_scale the same, or 0-dim for one scale of all
  /// elements.
  Laplace(Tensor mean, Tensor log_scale, int64_t event_dims = 1);

  bool has_rsample() const override { return true; }
  Tensor mean() const override { return mean_; }
  Tensor variance() const override;
  DistributionPtr detached() const override;
  std::string_view name() const override { return "laplace"; }

  /// Shapes: [batch..., event...], or 0-dim when one scale is shared.
  const Tensor& log_scale() const { return log_scale_; }

 private:
  Tensor do_log_prob(const Tensor& value) const override;
  Tensor do_sample(at::IntArrayRef leading, Noise& noise) const override { return do_rsample(leading, noise); }
  Tensor do_rsample(at::IntArrayRef leading, Noise& noise) const override;
  Tensor do_log_prob_per_element(const Tensor& value) const override;
  Tensor do_entropy() const override;

  Tensor mean_;
  Tensor log_scale_;
};

}  // namespace elbo
