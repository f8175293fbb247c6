#include "elbo/distributions/multivariate_normal.h"

#include <ATen/ops/linalg_cholesky.h>
#include <ATen/ops/linalg_solve_triangular.h>

#include <cmath>
#include <numbers>

#include "elbo/base/error.h"

namespace elbo {
namespace {

const double kLogTau = std::log(2 * std::numbers::pi);

/// Applies a function of [batch..., D, N] to vectors [sample..., batch..., D]: samples become columns, so that the matrices are
/// not repeated once a sample.
template <class Function>
Tensor by_columns(const Tensor& vectors, int64_t batch_dims, Function function) {
  const auto sample_dims = vectors.dim() - 1 - batch_dims;
  if (sample_dims == 0) return function(vectors.unsqueeze(-1)).squeeze(-1);
  return function(vectors.flatten(0, sample_dims - 1).movedim(0, -1)).movedim(-1, 0).reshape(vectors.sizes());
}

}  // namespace

MultivariateNormal::MultivariateNormal(Tensor mean, const Tensor& scale_tril)
    : Distribution(mean, 1), mean_(std::move(mean)), scale_tril_(scale_tril.tril()) {
  const auto D = mean_.size(-1);
  const auto expected = scale_tril_.dim() == 2 ? Shape{D, D} : joined(mean_.sizes(), {D});
  check_shape(scale_tril_, expected, "multivariate_normal: scale_tril");
}

std::shared_ptr<MultivariateNormal> MultivariateNormal::with_covariance(Tensor mean, const Tensor& covariance) {
  return std::make_shared<MultivariateNormal>(std::move(mean), at::linalg_cholesky(covariance));
}

Tensor MultivariateNormal::variance() const { return scale_tril_.square().sum(-1).expand_as(mean_); }

DistributionPtr MultivariateNormal::detached() const {
  return std::make_shared<MultivariateNormal>(mean_.detach(), scale_tril_.detach());
}

Tensor MultivariateNormal::log_det_scale() const { return scale_tril_.diagonal(0, -2, -1).log().sum(-1); }

Tensor MultivariateNormal::whitened(const Tensor& value) const {
  return by_columns(value - mean_, static_cast<int64_t>(batch_shape().size()),
                    [&](const Tensor& columns) { return at::linalg_solve_triangular(scale_tril_, columns, /*upper=*/false); });
}

Tensor MultivariateNormal::do_log_prob(const Tensor& value) const {
  const auto size = static_cast<double>(mean_.size(-1));
  return -0.5 * (whitened(value).square().sum(-1) + size * kLogTau) - log_det_scale();
}

Tensor MultivariateNormal::do_rsample(at::IntArrayRef leading, Noise& noise) const {
  const auto eps = noise.normal(leading, event_shape()).to(mean_.scalar_type());
  return mean_ + by_columns(eps, static_cast<int64_t>(batch_shape().size()),
                            [&](const Tensor& columns) { return scale_tril_.matmul(columns); });
}

Tensor MultivariateNormal::do_entropy() const {
  return (log_det_scale() + 0.5 * static_cast<double>(mean_.size(-1)) * (1 + kLogTau)).expand(batch_shape());
}

}  // namespace elbo
