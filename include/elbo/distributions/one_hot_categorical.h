#pragma once
#include "elbo/distributions/distribution.h"

namespace elbo {

/// Independent classes as one-hot vectors, by unnormalised log-probabilities; -inf excludes a class. Values are one-hot in their
/// last extent. Does not factorise over the V places of a class.
class OneHotCategorical final : public Distribution {
 public:
  /// Shapes: logits [batch..., event...] whose last extent is V: event [V], or [G, V] for `event_dims` 2.
  OneHotCategorical(Tensor logits, int64_t event_dims = 1);

  Tensor mean() const override { return logits_.softmax(-1); }
  Tensor variance() const override;
  Tensor mode() const override;
  DistributionPtr detached() const override;
  std::string_view name() const override { return "one_hot_categorical"; }

  int64_t num_classes() const { return logits_.size(-1); }
  const Tensor& logits() const { return logits_; }
  /// Normalised, shaped as the logits.
  Tensor log_probabilities() const { return logits_.log_softmax(-1); }

 private:
  Tensor do_log_prob(const Tensor& value) const override;
  Tensor do_sample(at::IntArrayRef leading, Noise& noise) const override;
  Tensor do_entropy() const override;
  Tensor one_hot(const Tensor& index) const;

  Tensor logits_;
};

}  // namespace elbo
