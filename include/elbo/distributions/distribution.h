#pragma once
#include <memory>

#include "elbo/math/random.h"

namespace elbo {

class Distribution;
using DistributionPtr = std::shared_ptr<const Distribution>;

/// A batch of independent distributions over events. Parameters have shape [batch..., event...].
/// Public members check shapes and call the private `do_...` of a subclass, which stay pure formula.
class Distribution {
 public:
  virtual ~Distribution() = default;

  const Shape& batch_shape() const { return batch_shape_; }
  const Shape& event_shape() const { return event_shape_; }

  /// Log-density or log-mass. Shapes: value [sample..., batch..., event...] -> [sample..., batch...]. Units: nats, summed over
  /// the event. A value's sample and batch extents broadcast against the batch shape ([K, B] against [B]; [B] against [K, B]).
  Tensor log_prob(const Tensor& value) const;
  /// The same with elements left out: those where `valid` (bool, broadcasting against value) is false, whose values may be anything.
  /// They count in neither the sum nor the gradient. Throws UsageError where the event doesn't factorise.
  Tensor log_prob(const Tensor& value, const Tensor& valid) const;
  /// Before the sum over the event, where that factorises. Shapes: [sample..., batch..., event...]. Throws UsageError elsewhere.
  Tensor log_prob_per_element(const Tensor& value) const;

  /// A draw without gradient. Shapes: leading is [sample..., batch...], e.g. [K, B], and ends in the batch shape -> [leading...,
  /// event...].
  Tensor sample(at::IntArrayRef leading, Noise& noise) const;
  /// A reparametrised draw: gradients flow to the parameters. Throws UsageError where there is none (discrete distributions).
  Tensor rsample(at::IntArrayRef leading, Noise& noise) const;
  virtual bool has_rsample() const { return false; }

  /// Shapes: [batch..., event...].
  virtual Tensor mean() const = 0;
  virtual Tensor variance() const = 0;
  /// The most probable value, of a mixture the mode of its likeliest component; what pictures show. Shapes: [batch..., event...].
  virtual Tensor mode() const { return mean(); }
  /// Shapes: [batch...]. Units: nats. Throws UsageError where no closed form exists.
  Tensor entropy() const;

  /// The same distribution with its parameters cut off from the graph; serves the STL and DReG estimators.
  virtual DistributionPtr detached() const = 0;
  /// "normal", "bernoulli": for messages and the table of closed-form divergences.
  virtual std::string_view name() const = 0;

 protected:
  Distribution(Shape batch_shape, Shape event_shape)
      : batch_shape_(std::move(batch_shape)), event_shape_(std::move(event_shape)) {}
  /// Splits a parameter's shape: the last `event_dims` extents are the event.
  Distribution(const Tensor& parameter, int64_t event_dims);

 private:
  virtual Tensor do_log_prob(const Tensor& value) const = 0;
  virtual Tensor do_sample(at::IntArrayRef leading, Noise& noise) const = 0;
  virtual Tensor do_rsample(at::IntArrayRef leading, Noise& noise) const;
  virtual Tensor do_entropy() const;
  virtual Tensor do_log_prob_per_element(const Tensor& value) const;
  void check_value(const Tensor& value) const;
  void check_leading(at::IntArrayRef leading) const;

  Shape batch_shape_;
  Shape event_shape_;
};

}  // namespace elbo
