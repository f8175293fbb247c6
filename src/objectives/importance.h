#pragma once
#include "elbo/models/family.h"
#include "elbo/objectives/objective.h"

namespace elbo::detail {

/// Posterior samples with their importance weights. Shapes: [K, B] or, of a mixture posterior, [S, K, B]. Units: nats.
struct ImportanceSamples {
  Latents latents = {};
  Tensor log_p = {};           // log p(x | z)
  Tensor log_w = {};           // log p(x, z) - log q(z | x), as it is optimised
  Tensor reported_log_p = {};  // detached; where training optimises a surrogate, a proper likelihood
  Tensor reported_log_w = {};
};
ImportanceSamples importance_samples(Variational& model, const Batch& batch, int64_t num_samples, Noise& noise,
                                     PosteriorGradient gradient = PosteriorGradient::live);

/// Mean over `repetitions` groups of samples of log_mean_exp within each: Rainforth et al. 2018 (arXiv:1802.04537).
/// Group r holds the samples r K to (r + 1) K - 1. Shapes: log_w [R K, B] or [S, R K, B] -> [B].
Tensor mean_of_bounds(const Latents& latents, const Tensor& log_w, int64_t repetitions);

/// The terms that importance-weighted objectives share: the bound, the plain averages over samples (Monte Carlo) and the
/// effective sample size of all samples of an example.
std::vector<Term> importance_terms(const ImportanceSamples& samples, const Tensor& bound);

}  // namespace elbo::detail
