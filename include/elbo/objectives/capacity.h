#pragma once
#include "elbo/objectives/elbo.h"

namespace elbo {

/// Evidence lower bound whose KL term is held at a capacity that grows: E_q[-log p(x | z)] + gamma |KL - C|.
/// Source: Burgess et al. 2018 (arXiv:1804.03599), eq. 8. The absolute value is that of the batch's mean KL, summed over latents:
/// the term couples the batch. C is read from the schedule wherever the loss is computed, in evaluation too.
/// Units: nats per example. Terms: bound (the ELBO, without gamma and C), reconstruction, kl.
struct CapacityConfig {
  CapacityConfig();
  ScheduledNumber capacity;
  double gamma = 1000;
  int64_t samples = 1;
  KlEstimator kl = KlEstimator::analytic;

  template <class F>
  void fields(F& field) {
    field("capacity", capacity, "capacity C in nats that the mean KL is held at", at_least(0));
    field("gamma", gamma, "weight of the distance |KL - C|", at_least(0));
    field("samples", samples, "posterior samples K an example", between(1, 100'000));
    field("kl", kl, "KL term: analytic, or monte_carlo on the samples");
  }
};

std::shared_ptr<Objective> make_capacity(const CapacityConfig& config, Variational& model, const ObjectiveContext& context);

}  // namespace elbo
