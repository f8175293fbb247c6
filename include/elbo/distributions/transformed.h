#pragma once
#include "elbo/distributions/bijector.h"
#include "elbo/distributions/distribution.h"

namespace elbo {

/// bijector(x) for x of the base distribution: log p(y) = log p_base(x) - log |d y / d x| at x = inverse(y).
class TransformedDistribution final : public Distribution {
 public:
  TransformedDistribution(DistributionPtr base, BijectorPtr bijector);

  bool has_rsample() const override { return base_->has_rsample(); }
  /// Throws UsageError unless the bijector is affine: average samples.
  Tensor mean() const override;
  Tensor variance() const override;
  /// The image of the base's mode: where the base is symmetric the median, and the mode of an affine bijector.
  Tensor mode() const override { return bijector_->forward(base_->mode()); }
  DistributionPtr detached() const override;
  std::string_view name() const override { return "transformed"; }

  const DistributionPtr& base() const { return base_; }
  const BijectorPtr& bijector() const { return bijector_; }

 private:
  Tensor do_log_prob(const Tensor& value) const override;
  Tensor do_sample(at::IntArrayRef leading, Noise& noise) const override {
    return bijector_->forward(base_->sample(leading, noise));
  }
  Tensor do_rsample(at::IntArrayRef leading, Noise& noise) const override {
    return bijector_->forward(base_->rsample(leading, noise));
  }
  Tensor do_log_prob_per_element(const Tensor& value) const override;
  Tensor do_entropy() const override;
  void require_affine(std::string_view what) const;

  DistributionPtr base_;
  BijectorPtr bijector_;
};

}  // namespace elbo
