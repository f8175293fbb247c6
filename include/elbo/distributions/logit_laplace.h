#pragma once
#include "elbo/distributions/distribution.h"

namespace elbo {

/// Numbers x whose m(x) = kMargin + (1 - 2 kMargin) x has a Laplace distributed logit: for x in [0, 1] the logit stays away from
/// infinity. Source: Ramesh et al. 2021 (arXiv:2102.12092), appendix A.3. Differs: the density is x's, theirs is m(x)'s and lower
/// by log(1 - 2 kMargin).
class LogitLaplace final : public Distribution {
 public:
  static constexpr double kMargin = 0.1;

  /// Shapes: location of the logit [batch..., event...] with `event_dims` event extents; log_scale the same, or 0-dim for one
  /// scale of all elements.
  LogitLaplace(Tensor location, Tensor log_scale, int64_t event_dims = 1);

  bool has_rsample() const override { return true; }
  /// By quadrature: off by less than 1e-8 for scales up to 1 and 1e-4 up to 4.
  Tensor mean() const override;
  Tensor variance() const override;
  DistributionPtr detached() const override;
  std::string_view name() const override { return "logit_laplace"; }

 private:
  Tensor do_log_prob(const Tensor& value) const override;
  Tensor do_sample(at::IntArrayRef leading, Noise& noise) const override { return do_rsample(leading, noise); }
  Tensor do_rsample(at::IntArrayRef leading, Noise& noise) const override;
  Tensor do_log_prob_per_element(const Tensor& value) const override;

  Tensor location_;
  Tensor log_scale_;
};

}  // namespace elbo
