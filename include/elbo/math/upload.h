#pragma once
#include "elbo/math/shapes.h"

namespace elbo {

/// A host tensor's copy on `device`, without waiting for the work that the device already has: a plain `to` from memory that isn't
/// page-locked waits for all of it, once a training step.
Tensor upload(const Tensor& host, at::Device device);

}  // namespace elbo
