#pragma once
#include "elbo/math/shapes.h"

namespace elbo {

/// max(x, bound). Gradient: to x, also below the bound where it pulls upwards: a number held at its bound can leave it.
/// Source: the lower bound of Ballé's compression code (tensorflow/compression).
Tensor lower_bounded(const Tensor& x, double bound);

}  // namespace elbo
