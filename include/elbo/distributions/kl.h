#pragma once
#include "elbo/distributions/distribution.h"

namespace elbo {

/// Whether KL(q || p) has a closed form here. Two transformed distributions have one where they share the bijector (the same
/// object) and their bases have one.
bool has_closed_form_kl(const Distribution& q, const Distribution& p);

/// KL(q || p) in closed form. Shapes: [batch...]. Units: nats, summed over the event. Throws UsageError where there is none,
/// naming both and monte_carlo_kl. Of a StratifiedMixture q, the weighted sum of its components' divergences, which by convexity is
/// never below KL(q || p): a bound that subtracts it stays one.
Tensor kl(const Distribution& q, const Distribution& p);

/// The same before the sum over the event: [batch..., event...]. What the collapse panel shows. Throws UsageError for pairs with
/// no closed form or that don't factorise over the event.
Tensor kl_per_unit(const Distribution& q, const Distribution& p);

/// log q(z) - log p(z): unbiased for KL(q || p) when z is drawn from q; not a divergence, may be negative. Shapes: as
/// log_prob(z).
Tensor monte_carlo_kl(const Distribution& q, const Distribution& p, const Tensor& z);

}  // namespace elbo
