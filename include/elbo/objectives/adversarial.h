#pragma once
#include "elbo/math/shapes.h"

namespace elbo {

// What objectives with a critic share: Esser et al. 2021 (arXiv:2012.09841).

/// The critic's weight that gives its loss `weight` times the gradient that the reconstruction's has at one weight; 0 under no
/// gradient. Shapes: all 0-dim but `last`.
Tensor adaptive_weight(const Tensor& reconstruction, const Tensor& generator, const Tensor& last, const Tensor& weight);

/// mean relu(1 - real) / 2 + mean relu(1 + fake) / 2. Shapes: scores [B, h, w] -> [B].
Tensor hinge_loss(const Tensor& real, const Tensor& fake);

}  // namespace elbo
