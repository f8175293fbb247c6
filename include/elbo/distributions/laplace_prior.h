#pragma once
#include "elbo/distributions/prior.h"

namespace elbo {

/// Laplace with mean 0 and scales that are 1, or learned under the sum D (parameter `scale` [D], as in the laplace posterior).
/// Source: Shi et al. 2019 (arXiv:1911.03393), section 4 and appendix.
struct LaplacePriorConfig {
  bool learn_scale = true;

  template <class F>
  void fields(F& field) {
    field("learn_scale", learn_scale, "whether the scales are learned, or 1");
  }
};

std::shared_ptr<Prior> make_laplace_prior(const LaplacePriorConfig& config, const PriorContext& context);

}  // namespace elbo
