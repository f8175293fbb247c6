#pragma once
#include "elbo/evaluation/metric.h"

namespace elbo {

/// What a likelihood's number is a probability of.
enum class PixelProbability {
  mass,               // of one of n grey levels (or of 0 or 1): nothing to add
  density,            // of a real number in [0, 1], n bins of 1/n: + log2 n
  symmetric_density,  // of a real number in [-1, 1], n bins of 2/n: + log2 n - 1
};

/// Negative log-likelihood as bits for each element, with the scale of the data set right: nats / (dims ln 2) + offset.
/// Source: Theis et al. 2016 (arXiv:1511.01844), section 3.1.
/// `nats` is -log p summed over `dims` elements. Shapes: any. Units: bits per dimension. Throws: UsageError unless dims >= 1 and
/// levels >= 2.
Tensor bits_per_dim(const Tensor& nats, int64_t dims, PixelProbability probability, int64_t levels);

/// elbo_bits_per_dim, from the one-sample bound, and log_likelihood_bits_per_dim, from the context's importance samples: both are
/// upper bounds in expectation, smaller is better. For models of field `x` alone whose data are binary or grey levels.
std::shared_ptr<Metric> make_bits_per_dim_metric(const NoConfig&);

}  // namespace elbo
