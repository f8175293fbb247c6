#pragma once
#include "elbo/distributions/distribution.h"

namespace elbo {

/// Independent Student-t variables: location + exp(log_scale) * t with `df` > 0 degrees of freedom; heavy tails for data with
/// outliers. Draws by Bailey's polar form (Bailey 1994, Math. Comp. 62), so that gradients flow to df as well.
class StudentT final : public Distribution {
 public:
  /// Shapes: location [batch..., event...] with `event_dims` event extents; df and log_scale the same, or 0-dim for one of all
  /// elements.
  StudentT(Tensor df, Tensor location, Tensor log_scale, int64_t event_dims = 1);

  bool has_rsample() const override { return true; }
  /// NaN where df <= 1, which have none.
  Tensor mean() const override;
  /// Infinite where 1 < df <= 2, NaN where df <= 1.
  Tensor variance() const override;
  Tensor mode() const override { return location_; }
  DistributionPtr detached() const override;
  std::string_view name() const override { return "student_t"; }

  const Tensor& df() const { return df_; }
  const Tensor& location() const { return location_; }
  const Tensor& log_scale() const { return log_scale_; }

 private:
  Tensor do_log_prob(const Tensor& value) const override;
  Tensor do_sample(at::IntArrayRef leading, Noise& noise) const override { return do_rsample(leading, noise); }
  Tensor do_rsample(at::IntArrayRef leading, Noise& noise) const override;
  Tensor do_log_prob_per_element(const Tensor& value) const override;
  Tensor do_entropy() const override;

  Tensor df_;
  Tensor location_;
  Tensor log_scale_;
};

}  // namespace elbo
