#pragma once
#include "elbo/aggregators/aggregator.h"

namespace elbo {

/// Product of experts: one normal. With the prior as an expert, encoders give likelihood factors, q(z | x_m) / p(z); without,
/// they give posteriors. Source: Wu & Goodman 2018 (arXiv:1802.05335), section 2.2 (prior always); Hwang et al. 2021 (NeurIPS,
/// MVTCAE) without it.
struct PoeConfig {
  PriorExpert prior_expert = PriorExpert::always;

  template <class F>
  void fields(F& field) {
    field("prior_expert", prior_expert, "N(0, I) as one more expert: none, always, or full_only (where no modality is missing)");
  }
};
std::shared_ptr<Aggregator> make_poe(const PoeConfig& config, const AggregatorContext& context);

}  // namespace elbo
