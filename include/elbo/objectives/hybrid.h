#pragma once
#include "elbo/objectives/elbo.h"

namespace elbo {

/// For conditional models: alpha times the negative evidence lower bound, plus (1 - alpha) times -E_{p(z | y)}[log p(x | z, y)],
/// in which z comes from the prior as it does when the model is used. The second part closes the gap between training and
/// sampling; alone (alpha 0) it is the Gaussian stochastic neural network, which needs no encoder.
/// Source: Sohn et al. 2015 (NeurIPS, "Learning structured output representation using deep conditional generative models"),
/// eqs. 6 and 7. Units: nats per example. Terms: bound (the ELBO), reconstruction, kl, prior_reconstruction.
/// Gradient: through z into the prior as well. Throws: ConfigError for a model of several latent layers.
struct HybridConfig {
  double alpha = 0.5;
  ScheduledNumber beta = scheduled_number(1);
  int64_t samples = 1;
  KlEstimator kl = KlEstimator::analytic;

  template <class F>
  void fields(F& field) {
    field("alpha", alpha, "weight of the ELBO; the rest goes to samples of the prior", between(0, 1));
    field("beta", beta, "weight of the KL term within the ELBO", at_least(0));
    field("samples", samples, "samples K an example, of the posterior and of the prior", between(1, 100'000));
    field("kl", kl, "KL term: analytic, or monte_carlo on the samples");
  }
};

std::shared_ptr<Objective> make_hybrid(const HybridConfig& config, Variational& model, const ObjectiveContext& context);

}  // namespace elbo
