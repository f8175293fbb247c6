#pragma once
#include "elbo/distributions/prior.h"

namespace elbo {

/// A learned mixture of diagonal normals: `logits` [S], `means` and `log_vars` [S, D].
/// Source: the "MoG prior" of Tomczak & Welling 2018 (arXiv:1705.07120), section 2.
struct MixturePriorConfig {
  int64_t components = 10;
  double spread = 1;

  template <class F>
  void fields(F& field) {
    field("components", components, "number of normal components S", at_least(1));
    field("spread", spread, "standard deviation of the initial means", more_than(0));
  }
};

std::shared_ptr<Prior> make_mixture_prior(const MixturePriorConfig& config, const PriorContext& context);

}  // namespace elbo
