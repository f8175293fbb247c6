#pragma once
#include "elbo/models/family.h"
#include "elbo/objectives/elbo.h"

namespace elbo::detail {

/// KL(q || p) of all layers, averaged over samples where a layer depends on the one above it. Shapes: [B]. Units: nats.
/// Throws: ConfigError for `analytic` where a layer's pair has no closed form.
Tensor kl_term(const Latents& latents, KlEstimator estimator);

/// The same before the sum over latents, all layers side by side. Shapes: [B, D]. Throws: UsageError where a pair doesn't
/// factorise.
Tensor kl_per_latent(const Latents& latents, KlEstimator estimator);

/// -log p(x | z) averaged over samples, as it is optimised and as it is reported. Shapes: [B]. Units: nats.
struct Distortion {
  Tensor optimised = {};
  Tensor reported = {};  // detached
};
Distortion distortion(const Latents& latents, const std::vector<Observation>& observations);

/// bound, reconstruction and kl, all weights 1.
std::vector<Term> elbo_terms(const Distortion& distortion, const Tensor& kl);

}  // namespace elbo::detail
