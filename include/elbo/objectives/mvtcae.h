#pragma once
#include "elbo/models/family.h"
#include "elbo/objectives/objective.h"

namespace elbo {

/// Total correlation of views, on the product q of the encoders r_m without the prior (model.aggregation {type: poe,
/// prior_expert: none}): (M - alpha)/M sum_m -log p(x_m | z) + beta ((1 - alpha) KL(q || p) + alpha/M sum_m KL(q || r_m)).
/// Source: Hwang et al. 2021 (NeurIPS, "Multi-view representation learning via total correlation objective"), eq. 10.
/// Rows that lack modalities count the M that they have. Units: nats per example. Terms: bound (the ELBO of q, all weights 1),
/// reconstruction, kl, conditional_kl (sum_m KL(q || r_m)). Gradient: into both arguments of every divergence.
/// Throws: ConfigError for another aggregation.
struct MvtcaeConfig {
  double alpha = 5.0 / 6;
  ScheduledNumber beta = scheduled_number(2.5);
  int64_t samples = 1;

  template <class F>
  void fields(F& field) {
    field("alpha", alpha, "share of the conditional terms", between(0, 1));
    field("beta", beta, "weight of all divergences", at_least(0));
    field("samples", samples, "posterior samples K an example", between(1, 100'000));
  }
};

std::shared_ptr<Objective> make_mvtcae(const MvtcaeConfig& config, Multimodal& model, const ObjectiveContext& context);

}  // namespace elbo
