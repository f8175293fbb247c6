#pragma once
#include "elbo/evaluation/metric.h"

namespace elbo {

/// The term `bound` of the run's own objective: L_K for iwae, the ELBO for elbo and beta_vae. Units: nats.
std::shared_ptr<Metric> make_bound_metric(const NoConfig&);

}  // namespace elbo
