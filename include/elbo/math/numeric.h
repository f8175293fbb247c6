#pragma once
#include "elbo/math/shapes.h"

namespace elbo {

/// log of the mean of exp along a dimension, by the maximum subtracted; a slice of only -inf gives -inf.
Tensor log_mean_exp(const Tensor& tensor, int64_t dim);

/// Kish's effective sample size (sum w)^2 / sum w^2 of log-weights along a dimension; from 1 to the extent.
Tensor effective_sample_size(const Tensor& log_weight, int64_t dim);

/// The mean of [N] values and the standard error of that mean (sample standard deviation / sqrt N, NaN for one value), in float64.
struct MeanAndError {
  double mean = 0;
  double standard_error = 0;
};
MeanAndError mean_and_error(const Tensor& values);

}  // namespace elbo
