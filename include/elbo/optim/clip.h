#pragma once
#include <vector>

#include "elbo/math/shapes.h"

namespace elbo {

/// The L2 norm of flat gradients taken together, 0-dim, without a synchronisation. Rows of 1,024 elements first, then over the
/// rows: one long sum in float32 would lose digits.
Tensor global_norm(const std::vector<Tensor>& gradients);

/// Multiplies the gradients by min(1, max_norm / (norm + 1e-6)), as torch.nn.utils.clip_grad_norm_ does; `norm` is their global
/// norm.
void clip_gradients(const std::vector<Tensor>& gradients, const Tensor& norm, double max_norm);

}  // namespace elbo
