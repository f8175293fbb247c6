#pragma once
#include "elbo/math/shapes.h"

namespace elbo {

// The normal's formulas in one pass forward and one backward, on the CPU and, with the plugin, on CUDA (float32, float64); elsewhere,
// and where shapes need more broadcasting than "samples before parameters", the same from LibTorch's operations. All are twice
// differentiable. Everything is added up in a fixed order, so that the number of threads doesn't change a bit.

/// log N(value; mean, exp(log_var)) summed over the last `event_dims` extents. Shapes: mean and log_var alike [batch...,
/// event...], value [sample..., batch..., event...] -> [sample..., batch...]. Units: nats.
Tensor normal_log_prob(const Tensor& value, const Tensor& mean, const Tensor& log_var, int64_t event_dims);

/// mean + exp(log_var / 2) noise. Shapes: mean and log_var alike, noise [sample..., their shape]. No gradient goes to the noise.
Tensor normal_rsample(const Tensor& mean, const Tensor& log_var, const Tensor& noise);

/// KL(N(mean, exp(log_var)) || N(0, 1)) summed over the last `event_dims` extents. Units: nats.
Tensor normal_kl_to_standard(const Tensor& mean, const Tensor& log_var, int64_t event_dims);

/// x kept in [lo, hi] by two softplus bends, with a gradient everywhere: hi - softplus(hi - (lo + softplus(x - lo))).
Tensor soft_clip(const Tensor& x, double lo, double hi);

}  // namespace elbo
