#include "elbo/distributions/transformed.h"

#include "elbo/base/error.h"
#include "formulas.h"

namespace elbo {

TransformedDistribution::TransformedDistribution(DistributionPtr base, BijectorPtr bijector)
    : Distribution(base->batch_shape(), base->event_shape()), base_(std::move(base)), bijector_(std::move(bijector)) {}

void TransformedDistribution::require_affine(std::string_view what) const {
  if (bijector_->is_affine()) return;
  throw UsageError("distribution 'transformed' has no closed-form " + std::string(what) + " under the bijector '" +
                   std::string(bijector_->name()) + "': average over its samples");
}

Tensor TransformedDistribution::mean() const {
  require_affine("mean");
  return bijector_->forward(base_->mean());
}

Tensor TransformedDistribution::variance() const {
  require_affine("variance");
  return base_->variance() * (2 * bijector_->log_abs_det_jacobian(base_->mean())).exp();
}

DistributionPtr TransformedDistribution::detached() const {
  return std::make_shared<TransformedDistribution>(base_->detached(), bijector_->detached());
}

Tensor TransformedDistribution::do_log_prob(const Tensor& value) const {
  const auto x = bijector_->inverse(value);
  return base_->log_prob(x) - detail::sum_event(*this, bijector_->log_abs_det_jacobian(x));
}

Tensor TransformedDistribution::do_log_prob_per_element(const Tensor& value) const {
  const auto x = bijector_->inverse(value);
  return base_->log_prob_per_element(x) - bijector_->log_abs_det_jacobian(x);
}

Tensor TransformedDistribution::do_entropy() const {
  require_affine("entropy");
  return base_->entropy() + detail::sum_event(*this, bijector_->log_abs_det_jacobian(base_->mean()));
}

}  // namespace elbo
