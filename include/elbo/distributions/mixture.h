#pragma once
#include <optional>

#include "elbo/distributions/distribution.h"

namespace elbo {

/// A mixture whose S components are one distribution with S as its last batch extent. A logit of -inf removes a component.
class MixtureSameFamily final : public Distribution {
 public:
  /// Shapes: logits [batch..., S], components batch [batch..., S]. `batch_shape` declares a larger batch to which that one
  /// broadcasts, so that one mixture for all B rows ([S], declared [B]) is not repeated B times.
  MixtureSameFamily(Tensor logits, DistributionPtr components, std::optional<Shape> batch_shape = std::nullopt);

  Tensor mean() const override;
  Tensor variance() const override;
  /// The mode of the likeliest component.
  Tensor mode() const override;
  DistributionPtr detached() const override;
  std::string_view name() const override { return "mixture"; }

  int64_t num_components() const { return logits_.size(-1); }
  /// Normalised log-weights, [..., S], and what they weigh, batch [..., S]: for estimators that draw from each component.
  Tensor log_weights() const { return logits_.log_softmax(-1); }
  const DistributionPtr& components() const { return components_; }

 private:
  Tensor do_log_prob(const Tensor& value) const override;
  Tensor do_sample(at::IntArrayRef leading, Noise& noise) const override;
  /// The weighted sum of [..., S, event...] over S, expanded to the declared batch.
  Tensor weighted_sum(const Tensor& of_components) const;

  Tensor logits_;
  DistributionPtr components_;
};

}  // namespace elbo
