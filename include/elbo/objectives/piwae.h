#pragma once
#include "elbo/objectives/objective.h"

namespace elbo {

/// Each network gets the bound that suits it: the encoder the mean of R bounds of K samples (miwae), decoder and prior one bound
/// of all R K samples (iwae), of the same draw.
/// Source: Rainforth et al. 2018 (arXiv:1802.04537), PIWAE; their M is our R.
/// Units: nats per example. Terms: bound (of all R K samples), encoder_bound (the mean of R bounds), reconstruction and kl (plain
/// averages over the samples, Monte Carlo), effective_sample_size.
/// Gradient: two routes. Parameters that are neither only the encoder's nor the posterior's belong to the decoder's.
struct PiwaeConfig {
  int64_t repetitions = 8;
  int64_t samples = 8;

  template <class F>
  void fields(F& field) {
    field("repetitions", repetitions, "bounds R (the paper's M) that are averaged for the encoder", between(1, 10'000));
    field("samples", samples, "importance samples K in each of them", between(1, 10'000));
  }
};

std::shared_ptr<Objective> make_piwae(const PiwaeConfig& config, Variational& model, const ObjectiveContext& context);

}  // namespace elbo
