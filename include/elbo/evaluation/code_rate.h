#pragma once
#include "elbo/evaluation/metric.h"

namespace elbo {

/// What an example's codes cost under the model's prior (T log V before one is learnt): code_rate_bits with its standard error,
/// code_rate_share of the nominal rate, code_rate_bits_per_code. A prior that is conditioned is told the classes, and
/// code_rate_untold_bits is without them. Beside them stand the nominal rate and the zero-order entropy of metric `codebook`.
std::shared_ptr<Metric> make_code_rate_metric(const NoConfig& config);

}  // namespace elbo
