#pragma once
#include "elbo/evaluation/metric.h"
#include "elbo/models/family.h"

namespace elbo {

/// Importance-sampled log p(x), one value an example. A lower bound in expectation: values of different K don't compare.
/// Source: Burda et al. 2016 (arXiv:1509.00519), eq. 8, at large K.
/// Units: nats.
struct LogLikelihood {
  Tensor per_example = {};            // [N] float64 on the host
  Tensor effective_sample_size = {};  // [N] float64 on the host: (sum w)^2 / sum w^2, from 1 to K
};

/// Of one batch whose first row is `first_row` of its split, with K samples of which at most max_rows / B (and at least
/// 16) are in memory at once. `chunk_done` is told how many samples an example each chunk had.
LogLikelihood importance_log_likelihood(Variational& model, const Batch& batch, int64_t first_row, int64_t K, int64_t max_rows,
                                        PlacedNoise& noise, const std::function<void(int64_t)>& chunk_done = {});

/// Of the split. Throws: UsageError when the model is not variational.
LogLikelihood importance_log_likelihood(const EvaluationContext& context);

/// log_likelihood in nats, and effective_sample_size.
std::shared_ptr<Metric> make_log_likelihood_metric(const NoConfig&);

}  // namespace elbo
