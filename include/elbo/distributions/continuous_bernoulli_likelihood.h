#pragma once
#include "elbo/config/traits.h"
#include "elbo/distributions/likelihood.h"

namespace elbo {

/// Independent continuous Bernoulli pixels by logits, for fields of real numbers in [0, 1]: cross-entropy made a density.
/// Source: Loaiza-Ganem & Cunningham 2019 (arXiv:1907.06845).
std::shared_ptr<Likelihood> make_continuous_bernoulli_likelihood(const NoConfig& config, const LikelihoodContext& context);

}  // namespace elbo
