#pragma once
#include "elbo/config/traits.h"
#include "elbo/distributions/prior.h"

namespace elbo {

/// N(0, I); nothing to set, nothing to learn.
std::shared_ptr<Prior> make_standard_normal_prior(const NoConfig& config, const PriorContext& context);

}  // namespace elbo
