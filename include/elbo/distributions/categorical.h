#pragma once
#include "elbo/distributions/distribution.h"

namespace elbo {

/// Independent class indices (int64) at each position of the event, by unnormalised log-probabilities; -inf excludes a class.
class Categorical final : public Distribution {
 public:
  /// Shapes: logits [batch..., event...] with an extent V inserted at `class_dim` (negative, counted from the end): -1 is [...,
  /// V], -3 is [..., V, H, W] for events [H, W]. Samples, means and modes have shape [batch..., event...].
  Categorical(Tensor logits, int64_t event_dims, int64_t class_dim = -1);

  /// Of the class index; says something only where the classes are ordered, such as grey levels.
  Tensor mean() const override;
  Tensor variance() const override;
  Tensor mode() const override { return logits_.argmax(class_dim_); }
  DistributionPtr detached() const override;
  std::string_view name() const override { return "categorical"; }

  int64_t num_classes() const { return logits_.size(class_dim_); }
  int64_t class_dim() const { return class_dim_; }
  const Tensor& logits() const { return logits_; }
  /// Normalised, shaped as the logits.
  Tensor log_probabilities() const { return logits_.log_softmax(class_dim_); }

 private:
  Tensor do_log_prob(const Tensor& value) const override;
  Tensor do_sample(at::IntArrayRef leading, Noise& noise) const override;
  Tensor do_log_prob_per_element(const Tensor& value) const override;
  Tensor do_entropy() const override;
  /// Expectation of f(index) given as a [V] tensor.
  Tensor expectation(const Tensor& of_class) const;

  Tensor logits_;
  int64_t class_dim_;
};

namespace detail {
/// The class at which the running sum of probabilities (along the last extent) passes u: a draw when u is uniform in [0, 1). A
/// class of probability zero is never drawn. Shapes: [batch..., V], u [sample..., batch...] -> as u, int64.
Tensor pick_class(const Tensor& probabilities, const Tensor& u);
}  // namespace detail

}  // namespace elbo
