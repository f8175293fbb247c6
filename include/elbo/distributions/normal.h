#pragma once
#include "elbo/distributions/distribution.h"

namespace elbo {

/// Independent normal variables, N(mean, exp(log_var)).
class Normal final : public Distribution {
 public:
  /// Shapes: mean [batch..., event...] with `event_dims` event extents; log_var the same, or 0-dim for one variance of all
  /// elements.
  Normal(Tensor mean, Tensor log_var, int64_t event_dims = 1);
  /// One fixed standard deviation for all elements, without gradient. Throws UsageError unless scale > 0.
  static std::shared_ptr<Normal> with_scale(Tensor mean, double scale, int64_t event_dims);

  bool has_rsample() const override { return true; }
  Tensor mean() const override { return mean_; }
  Tensor variance() const override;
  DistributionPtr detached() const override;
  std::string_view name() const override { return "normal"; }

  /// Shapes: [batch..., event...], or 0-dim when one variance is shared.
  const Tensor& log_var() const { return log_var_; }

 private:
  Tensor do_log_prob(const Tensor& value) const override;
  Tensor do_sample(at::IntArrayRef leading, Noise& noise) const override { return do_rsample(leading, noise); }
  Tensor do_rsample(at::IntArrayRef leading, Noise& noise) const override;
  Tensor do_log_prob_per_element(const Tensor& value) const override;
  Tensor do_entropy() const override;
  /// Sum of log_var over the event: [batch...] or 0-dim.
  Tensor summed_log_var() const;

  Tensor mean_;
  Tensor log_var_;
};

/// N(0, 1) in each dimension; the fast path of the usual prior.
class StandardNormal final : public Distribution {
 public:
  /// `options`: type and device of what it draws.
  StandardNormal(Shape batch_shape, Shape event_shape, at::TensorOptions options = {});

  bool has_rsample() const override { return true; }
  Tensor mean() const override;
  Tensor variance() const override;
  DistributionPtr detached() const override { return std::make_shared<StandardNormal>(*this); }
  std::string_view name() const override { return "standard_normal"; }

 private:
  Tensor do_log_prob(const Tensor& value) const override;
  Tensor do_sample(at::IntArrayRef leading, Noise& noise) const override { return do_rsample(leading, noise); }
  Tensor do_rsample(at::IntArrayRef leading, Noise& noise) const override;
  Tensor do_log_prob_per_element(const Tensor& value) const override;
  Tensor do_entropy() const override;

  at::TensorOptions options_;
};

}  // namespace elbo
