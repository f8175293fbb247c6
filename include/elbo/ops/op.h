#pragma once
#include "elbo/math/shapes.h"

namespace elbo {

/// log p(target) under independent Bernoulli variables, in one pass over the logits and one in the backward:
/// l x - max(l, 0) - log(1 + exp(-|l|)), finite for every finite logit.
/// Shapes: logits [leading..., event...], target [trailing part of leading..., event...], each broadcast where needed ->
/// [leading...]. A target of fewer leading extents (one example against K samples) is never repeated in memory. Units: nats,
/// summed over the last `event_dims` extents. Types: float32 and float64; shorter floats are computed and returned as float32.
/// Gradient: to the logits target - sigmoid(logits), to the target logits; twice differentiable. On the CPU every row is summed
/// by one thread in a fixed order, so the number of threads doesn't change a bit. Throws: ShapeError where the shapes don't
/// broadcast or the devices differ.
Tensor bernoulli_log_prob(const Tensor& logits, const Tensor& target, int64_t event_dims);

}  // namespace elbo
