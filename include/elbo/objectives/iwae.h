#pragma once
#include "elbo/models/family.h"
#include "elbo/objectives/objective.h"

namespace elbo {

/// How the encoder's gradient of an importance-weighted bound is estimated.
enum class PathwiseEstimator { standard, stl, dreg };
constexpr auto enum_names(PathwiseEstimator) {
  return std::array{std::pair{std::string_view("standard"), PathwiseEstimator::standard},
                    std::pair{std::string_view("stl"), PathwiseEstimator::stl},
                    std::pair{std::string_view("dreg"), PathwiseEstimator::dreg}};
}

/// Importance-weighted bound: log of the mean over K samples of p(x, z_k) / q(z_k | x).
/// Source: Burda et al. 2016 (arXiv:1509.00519), eq. 8. Estimators: stl, Roeder et al. 2017 (arXiv:1703.09194);
/// dreg, Tucker et al. 2019 (arXiv:1810.04152), eq. 6.
/// Units: nats per example. Terms: bound, reconstruction and kl (plain averages over the samples, Monte Carlo),
/// effective_sample_size. Gradient: `stl` and `dreg` change the encoder's gradient only; the reported bound is the same number.
/// `dreg` is unbiased for every K, `stl` for K = 1 alone (Tucker et al., section 3); `dreg` is for one layer of latents.
/// Mixture posteriors (Shi et al. 2019, arXiv:1911.03393, eqs. 2 and 3) draw K samples of each component: `tight` is one
/// log-mean of all, `looser` the mean over components of their log-means; never above `tight`, and short of log p(x) for any K.
/// With a mixture, stl and dreg (their section 3, as published) cut off the parameters of all components in log q, which leaves
/// out a term of every component's gradient: unbiased for `looser` with K = 1 alone, where the terms add up to zero. `standard`
/// is unbiased for all of them.
struct IwaeConfig {
  int64_t samples = 50;
  PathwiseEstimator estimator = PathwiseEstimator::standard;
  Strata mixture = Strata::together;

  template <class F>
  void fields(F& field) {
    field("samples", samples, "importance samples K an example", between(1, 100'000));
    field("estimator", estimator, "gradient of the encoder: standard, stl (biased for K > 1), dreg (biased for mixtures)");
    field("mixture", mixture, "bound of a mixture posterior: tight (one log-mean of all samples) or looser (one a component)");
  }
};

std::shared_ptr<Objective> make_iwae(const IwaeConfig& config, Variational& model, const ObjectiveContext& context);

}  // namespace elbo
