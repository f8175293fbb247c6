#pragma once
#include "elbo/distributions/distribution.h"

namespace elbo {

/// A mixture of S components for estimators that draw from each of them. Every component has every row; where it is not available
/// its log-weight is -inf, and neither value nor gradient of a density depends on it.
class StratifiedMixture final : public Distribution {
 public:
  /// Shapes: components batch [S, B], event [D]; log_weight [S, B], normalised over S here. `-inf` everywhere in a row is a
  /// mistake of the caller.
  StratifiedMixture(DistributionPtr components, const Tensor& log_weight);

  int64_t num_components() const { return log_weight_.size(0); }
  /// Batch [S, B].
  const DistributionPtr& components() const { return components_; }
  /// Normalised over S. Shapes: [S, B].
  const Tensor& log_weight() const { return log_weight_; }

  /// K reparametrised draws from every component. Shapes: [S, K, B, D]. The noise is asked for in this order, so that a
  /// component's numbers don't depend on how many there are.
  Tensor rsample_stratified(int64_t K, Noise& noise) const;
  /// The weighted sum over components of one number each, unavailable ones left out. Shapes: [S, B, ...] -> [B, ...].
  Tensor average(const Tensor& of_components) const;
  bool has_rsample() const override { return components_->has_rsample(); }

  Tensor mean() const override;
  Tensor variance() const override;
  /// The mode of the likeliest component.
  Tensor mode() const override;
  DistributionPtr detached() const override;
  std::string_view name() const override { return "stratified_mixture"; }

 private:
  Tensor do_log_prob(const Tensor& value) const override;
  /// Ancestral: a component a row, then its draw. Gradient: of rsample into that component, not into the weights.
  Tensor do_sample(at::IntArrayRef leading, Noise& noise) const override;
  Tensor do_rsample(at::IntArrayRef leading, Noise& noise) const override;
  /// The component that each row draws. Shapes: [..., B].
  Tensor draw_places(at::IntArrayRef leading, Noise& noise) const;

  DistributionPtr components_;
  Tensor log_weight_;
};
using StratifiedMixturePtr = std::shared_ptr<const StratifiedMixture>;

/// The same mixture for estimators that draw one component a row: for the price of one sample, with more variance than one of
/// every component has.
class AncestralMixture final : public Distribution {
 public:
  explicit AncestralMixture(StratifiedMixturePtr mixture);

  const StratifiedMixturePtr& mixture() const { return mixture_; }
  Tensor mean() const override { return mixture_->mean(); }
  Tensor variance() const override { return mixture_->variance(); }
  Tensor mode() const override { return mixture_->mode(); }
  bool has_rsample() const override { return mixture_->has_rsample(); }
  DistributionPtr detached() const override;
  std::string_view name() const override { return "ancestral_mixture"; }

 private:
  Tensor do_log_prob(const Tensor& value) const override { return mixture_->log_prob(value); }
  Tensor do_sample(at::IntArrayRef leading, Noise& noise) const override { return mixture_->sample(leading, noise); }
  Tensor do_rsample(at::IntArrayRef leading, Noise& noise) const override { return mixture_->rsample(leading, noise); }

  StratifiedMixturePtr mixture_;
};

/// The mixture that q is, of either kind; null where it is none.
const StratifiedMixture* mixture_of(const Distribution& q);

}  // namespace elbo
