#pragma once
#include "elbo/evaluation/metric.h"

namespace elbo {

/// Squared difference of field `x` and its reconstruction, mean over the elements of an example.
std::shared_ptr<Metric> make_reconstruction_error_metric(const NoConfig&);

}  // namespace elbo
