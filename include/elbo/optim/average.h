#pragma once
#include "elbo/optim/flat_buffer.h"

namespace elbo {

/// Exponential moving average of the parameters: average <- decay * average + (1 - decay) * parameters, from the initial
/// parameters on. Buffers aren't averaged: evaluation sees the live ones. Source: Polyak & Juditsky 1992; in this form Kingma &
/// Ba 2015, section 7.2, without the correction for the start.
class WeightAverage {
 public:
  WeightAverage(const FlatBuffers& buffers, double decay);
  /// To be called after each step; where found_inf (0-dim) is 1 nothing changes.
  void update(const Tensor& found_inf);
  /// [N], laid out like FlatBuffers::parameters().
  const Tensor& values() const { return values_; }

 private:
  Tensor parameters_;
  Tensor values_;
  double weight_;
};

/// While it lives the parameters hold the averages, by content; then the raw values come back to the bit.
class AveragedWeights {
 public:
  AveragedWeights(const FlatBuffers& buffers, const WeightAverage& average);
  ~AveragedWeights();
  AveragedWeights(const AveragedWeights&) = delete;
  AveragedWeights& operator=(const AveragedWeights&) = delete;
  /// The parameters as they were, [N].
  const Tensor& raw() const { return raw_; }

 private:
  Tensor parameters_;
  Tensor raw_;
};

}  // namespace elbo
