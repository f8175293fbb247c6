#pragma once
#include "elbo/objectives/objective.h"

namespace elbo {

/// Mean of R independent importance-weighted bounds of K samples each: repetitions give back to the encoder's gradient the signal
/// that samples within a bound take away.
/// Source: Rainforth et al. 2018 (arXiv:1802.04537), MIWAE; their M is our R. R = 1 is iwae, K = 1 the Monte-Carlo ELBO.
/// Units: nats per example. Terms: bound, reconstruction and kl (plain averages over the samples, Monte Carlo),
/// effective_sample_size of all R K samples.
struct MiwaeConfig {
  int64_t repetitions = 8;
  int64_t samples = 8;

  template <class F>
  void fields(F& field) {
    field("repetitions", repetitions, "bounds R (the paper's M) that are averaged", between(1, 10'000));
    field("samples", samples, "importance samples K in each bound", between(1, 10'000));
  }
};

std::shared_ptr<Objective> make_miwae(const MiwaeConfig& config, Variational& model, const ObjectiveContext& context);

}  // namespace elbo
