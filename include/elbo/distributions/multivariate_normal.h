#pragma once
#include "elbo/distributions/distribution.h"

namespace elbo {

/// A normal vector of full covariance L L^T, by its Cholesky factor. Does not factorise over the event.
class MultivariateNormal final : public Distribution {
 public:
  /// Shapes: mean [batch..., D]; scale_tril [batch..., D, D], or [D, D] for one covariance of the whole batch, of which the lower
  /// triangle is read; its diagonal is to be positive.
  MultivariateNormal(Tensor mean, const Tensor& scale_tril);
  /// By the covariance, symmetric and positive definite. Shapes: as scale_tril.
  static std::shared_ptr<MultivariateNormal> with_covariance(Tensor mean, const Tensor& covariance);

  bool has_rsample() const override { return true; }
  Tensor mean() const override { return mean_; }
  /// The covariance's diagonal.
  Tensor variance() const override;
  DistributionPtr detached() const override;
  std::string_view name() const override { return "multivariate_normal"; }

  /// Shapes: [batch..., D, D] or [D, D], as given, zero above the diagonal.
  const Tensor& scale_tril() const { return scale_tril_; }
  Tensor covariance() const { return scale_tril_.matmul(scale_tril_.mT()); }
  /// log |det L|: half the covariance's log-determinant. Shapes: [batch...] or 0-dim.
  Tensor log_det_scale() const;
  /// L^-1 (value - mean), standard normal when value is a draw. Shapes: [sample..., batch..., D], the same.
  Tensor whitened(const Tensor& value) const;

 private:
  Tensor do_log_prob(const Tensor& value) const override;
  Tensor do_sample(at::IntArrayRef leading, Noise& noise) const override { return do_rsample(leading, noise); }
  Tensor do_rsample(at::IntArrayRef leading, Noise& noise) const override;
  Tensor do_entropy() const override;

  Tensor mean_;
  Tensor scale_tril_;
};

}  // namespace elbo
