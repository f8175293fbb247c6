#pragma once
#include "elbo/models/family.h"
#include "elbo/objectives/iwae.h"
#include "elbo/objectives/objective.h"

namespace elbo {

/// Where private latents of a target come from when another modality is the source.
enum class CrossReconstruction {
  auxiliary_prior,  // fresh noise of a learned scale: what is private can't leak through z
  factorized        // their own posterior: the shortcut that the paper warns of, for comparison
};
constexpr auto enum_names(CrossReconstruction) {
  using namespace std::string_view_literals;
  return std::array{std::pair{"auxiliary_prior"sv, CrossReconstruction::auxiliary_prior},
                    std::pair{"factorized"sv, CrossReconstruction::factorized}};
}

/// Shared and private latents, on model.aggregation {type: moe} and private_size > 0. From each source m, with z and w_m of its
/// encoder: log w = log p(x_m | z, w_m) + sum_{n != m} log p(x_n | z, w~_n) + beta (log p(z) + log p(w_m) - log q(z | x) -
/// log q(w_m | x_m)), q(z | x) the mixture; the mean over sources of log-mean-exp over K samples.
/// Source: Palumbo et al. 2023 (ICLR, "MMVAE+"), eqs. 4 and 6. The auxiliary priors r_n(w) have learned scales [W_n], parameters
/// of the objective; generation draws from p(w). Units: nats per example. Terms: bound (the ELBO of the mixture and the private
/// posteriors, weights 1, K = 1 Monte Carlo), objective (beta and weights as trained), reconstruction, kl.
/// Gradient: `estimator` as in iwae, with its bias for K > 1; dreg weighs the gradients of z and of the source's w.
/// Throws: ConfigError for another aggregation.
struct MmvaePlusConfig {
  int64_t samples = 1;
  CrossReconstruction cross = CrossReconstruction::auxiliary_prior;
  ScheduledNumber beta = scheduled_number(1);
  PathwiseEstimator estimator = PathwiseEstimator::standard;

  template <class F>
  void fields(F& field) {
    field("samples", samples, "samples K an example and source", between(1, 100'000));
    field("cross", cross, "private latents of other modalities than the source: auxiliary_prior or factorized");
    field("beta", beta, "weight of all divergences", at_least(0));
    field("estimator", estimator, "gradient of the encoders: standard, stl, dreg (both biased for K > 1)");
  }
};

std::shared_ptr<Objective> make_mmvae_plus(const MmvaePlusConfig& config, Multimodal& model, const ObjectiveContext& context);

}  // namespace elbo
