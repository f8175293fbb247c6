#pragma once
#include "elbo/distributions/distribution.h"

namespace elbo {

/// Whether KL(q || p) has a closed form here.
bool has_closed_form_kl(const Distribution& q, const Distribution& p);

/// KL(q || p) in closed form. Shapes: [batch...]. Units: nats, summed over the event. Throws UsageError where there is none,
/// naming both and monte_carlo_kl.
Tensor kl(const Distribution& q, const Distribution& p);

/// The same before the sum over the event, for pairs that factorise over it: [batch..., event...]. What the collapse panel shows.
Tensor kl_per_unit(const Distribution& q, const Distribution& p);

/// log q(z) - log p(z): unbiased for KL(q || p) when z is drawn from q; not a divergence, may be negative. Shapes: as
/// log_prob(z).
Tensor monte_carlo_kl(const Distribution& q, const Distribution& p, const Tensor& z);

}  // namespace elbo
