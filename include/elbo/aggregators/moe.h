#pragma once
#include "elbo/aggregators/aggregator.h"

namespace elbo {

/// Mixture of experts, a component a modality.
/// Source: Shi et al. 2019 (arXiv:1911.03393), section 3.
std::shared_ptr<Aggregator> make_moe(const NoConfig& config, const AggregatorContext& context);

}  // namespace elbo
