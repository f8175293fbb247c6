#pragma once
#include "elbo/objectives/objective.h"

namespace elbo::detail {

/// Throws UsageError naming the phase unless exactly one of loss and routes is set, losses are [B] and terms [B] or 0-dim.
void check_terms(const LossTerms& terms, const Phase& phase, int64_t B);

/// Adds the gradient of sum(loss) / B + batch_loss to the phase's parameters' .grad; of routes, each to its own parameters, after
/// all of them have been taken. Returns that sum, 0-dim and detached.
Tensor accumulate_gradients(const LossTerms& terms, const Phase& phase, int64_t B);

/// The same values without their graph.
LossTerms detached(const LossTerms& terms);

}  // namespace elbo::detail
