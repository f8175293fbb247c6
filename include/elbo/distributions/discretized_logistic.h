#pragma once
#include "elbo/distributions/distribution.h"

namespace elbo {

/// Independent grey levels k/256, k = 0..255: the mass that a logistic variable of this mean and scale exp(log_scale) has on
/// [k/256, (k + 1)/256), the first and last bin open to the outside. The 256 masses sum to 1.
/// A value in [0, 1] means the level whose bin holds it, 1 the last: so k/255, as pictures are stored, is level k too.
/// Source: Kingma et al. 2016 (arXiv:1606.04934), appendix C. Differs: the logarithm of the difference of sigmoids is exact, with
/// no small number added within. Means and scales are taken as they come: bounding them is the likelihood's business.
class DiscretizedLogistic final : public Distribution {
 public:
  static constexpr int64_t kLevels = 256;
  /// Shapes: mean [batch..., event...] with `event_dims` event extents; log_scale the same, or 0-dim for one scale of all
  /// elements.
  DiscretizedLogistic(Tensor mean, Tensor log_scale, int64_t event_dims = 1);

  /// Of the levels k/256; the mean to 1e-7.
  Tensor mean() const override;
  Tensor variance() const override;
  Tensor mode() const override;
  DistributionPtr detached() const override;
  std::string_view name() const override { return "discretized_logistic"; }

  /// Of the logistic variable behind the levels.
  const Tensor& location() const { return location_; }
  const Tensor& log_scale() const { return log_scale_; }

 private:
  Tensor do_log_prob(const Tensor& value) const override;
  Tensor do_sample(at::IntArrayRef leading, Noise& noise) const override;
  Tensor do_log_prob_per_element(const Tensor& value) const override;

  Tensor location_;
  Tensor log_scale_;
};

/// A mixture of S discretised logistics at each element, each element with its own choice: it factorises over the event, which
/// MixtureSameFamily (one choice for the whole event) does not. A logit of -inf removes a component.
/// Source: Salimans et al. 2017 (arXiv:1701.05517), section 2.1, without the dependence between colours.
class DiscretizedLogisticMixture final : public Distribution {
 public:
  /// Shapes: logits, means and log_scales [batch..., event..., S] with `event_dims` event extents before S.
  DiscretizedLogisticMixture(Tensor logits, Tensor means, Tensor log_scales, int64_t event_dims = 1);

  Tensor mean() const override;
  Tensor variance() const override;
  /// Of the likeliest component at each element.
  Tensor mode() const override;
  DistributionPtr detached() const override;
  std::string_view name() const override { return "discretized_logistic_mixture"; }

  int64_t num_components() const { return logits_.size(-1); }
  /// Normalised, shaped as the logits.
  Tensor log_weights() const { return logits_.log_softmax(-1); }

 private:
  Tensor do_log_prob(const Tensor& value) const override;
  Tensor do_sample(at::IntArrayRef leading, Noise& noise) const override;
  Tensor do_log_prob_per_element(const Tensor& value) const override;

  Tensor logits_;
  Tensor means_;
  Tensor log_scales_;
};

}  // namespace elbo
