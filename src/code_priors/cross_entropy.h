#pragma once
#include "elbo/math/shapes.h"

namespace elbo::detail {

/// log softmax(logits) at the codes. With large vocabularies the logits are what fills the memory: beside them only their
/// gradient is ever held, no log-probabilities. Shapes: [N, V] of float32 or float64, int64 [N] -> [N]. Gradient: of the logits,
/// once.
Tensor code_log_prob(const Tensor& logits, const Tensor& codes);

}  // namespace elbo::detail
