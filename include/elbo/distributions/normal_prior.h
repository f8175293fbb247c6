#pragma once
#include "elbo/distributions/prior.h"

namespace elbo {

/// A diagonal normal whose `mean` and `log_var` [D] are learned.
/// Source: Kingma & Welling 2014 (arXiv:1312.6114), section 2.1: theta of p_theta(z).
struct NormalPriorConfig {
  double spread = 0;

  template <class F>
  void fields(F& field) {
    field("spread", spread, "standard deviation of the initial means; 0 starts at N(0, I)", at_least(0));
  }
};

std::shared_ptr<Prior> make_normal_prior(const NormalPriorConfig& config, const PriorContext& context);

}  // namespace elbo
