#include "elbo/math/numeric.h"

#include <cmath>
#include <limits>

namespace elbo {

Tensor log_mean_exp(const Tensor& tensor, int64_t dim) {
  return torch::logsumexp(tensor, dim) - std::log(static_cast<double>(tensor.size(dim)));
}

Tensor effective_sample_size(const Tensor& log_weight, int64_t dim) {
  return (2 * torch::logsumexp(log_weight, dim) - torch::logsumexp(2 * log_weight, dim)).exp();
}

MeanAndError mean_and_error(const Tensor& values) {
  const auto v = values.to(torch::kDouble);
  const auto n = v.numel();
  const double mean = v.mean().item<double>();
  const double error = n > 1 ? v.std(/*unbiased=*/true).item<double>() / std::sqrt(static_cast<double>(n)) : std::numeric_limits<double>::quiet_NaN();
  return {.mean = mean, .standard_error = error};
}

}  // namespace elbo
