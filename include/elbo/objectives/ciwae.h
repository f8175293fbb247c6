#pragma once
#include "elbo/objectives/objective.h"

namespace elbo {

/// Convex combination of two bounds on the same samples: beta ELBO + (1 - beta) IWAE_K, itself a bound.
/// Source: Rainforth et al. 2018 (arXiv:1802.04537), CIWAE. beta = 1 is the Monte-Carlo ELBO, beta = 0 iwae.
/// Units: nats per example. Terms: bound (the combination), reconstruction and kl (plain averages over the samples, Monte Carlo),
/// effective_sample_size.
struct CiwaeConfig {
  int64_t samples = 64;
  double beta = 0.05;

  template <class F>
  void fields(F& field) {
    field("samples", samples, "importance samples K an example", between(1, 100'000));
    field("beta", beta, "weight of the ELBO; the rest is the importance-weighted bound's", between(0, 1));
  }
};

std::shared_ptr<Objective> make_ciwae(const CiwaeConfig& config, Variational& model, const ObjectiveContext& context);

}  // namespace elbo
