#pragma once
#include "elbo/models/family.h"
#include "elbo/objectives/objective.h"

namespace elbo {

/// The ELBO of a joint encoder, plus alpha sum_m KL(q(z | x) || q_m(z | x_m)), which makes each modality's encoder cover the
/// joint posteriors. For model.aggregation {type: joint}. Source: Suzuki et al. 2016 (arXiv:1611.01891), eq. 5 (JMVAE-kl). Units:
/// nats per example. Terms: bound (the ELBO, beta 1), reconstruction, kl, unimodal_kl. Gradient: into both arguments. Throws:
/// ConfigError for another aggregation, or one without unimodal encoders.
struct JmvaeConfig {
  double alpha = 0.1;
  ScheduledNumber beta = scheduled_number(1);
  int64_t samples = 1;

  template <class F>
  void fields(F& field) {
    field("alpha", alpha, "weight of the divergences to the unimodal encoders", at_least(0));
    field("beta", beta, "weight of the divergence to the prior", at_least(0));
    field("samples", samples, "posterior samples K an example", between(1, 100'000));
  }
};

std::shared_ptr<Objective> make_jmvae(const JmvaeConfig& config, Multimodal& model, const ObjectiveContext& context);

}  // namespace elbo
