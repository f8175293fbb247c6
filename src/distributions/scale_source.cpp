#include "elbo/distributions/scale_source.h"

#include <cmath>

#include "elbo/distributions/bernoulli_likelihood.h"

namespace elbo::detail {

Tensor bounded_log_scale(const Tensor& x) { return kMinLogScale + torch::softplus(x - kMinLogScale); }

ScaleSource::ScaleSource(torch::nn::Module& owner, DecoderVariance variance, double scale, MeanActivation mean, Shape event_shape)
    : variance_(variance), log_start_(std::log(scale)), mean_(mean), event_shape_(std::move(event_shape)) {
  if (variance_ == DecoderVariance::learned) log_scale_ = owner.register_parameter("log_scale", torch::full({}, log_start_));
}

Shape ScaleSource::parameter_shape() const {
  if (variance_ != DecoderVariance::per_pixel) return event_shape_;
  auto shape = event_shape_.empty() ? Shape{1} : event_shape_;
  shape[0] *= 2;
  return shape;
}

LocationAndScale ScaleSource::split(const Tensor& parameters) const {
  const auto activated = [this](const Tensor& x) { return mean_ == MeanActivation::sigmoid ? x.sigmoid() : x; };
  switch (variance_) {
    case DecoderVariance::learned:
      return {activated(parameters), bounded_log_scale(log_scale_)};
    case DecoderVariance::per_pixel: {
      const auto own = static_cast<int64_t>(parameter_shape().size());
      const auto halves = parameters.chunk(2, -own);
      const auto shape = joined(parameters.sizes().slice(0, parameters.dim() - own), event_shape_);
      const auto half_log_var = 0.5 * halves[1].reshape(shape);
      return {activated(halves[0].reshape(shape)), bounded_log_scale(half_log_var + log_start_)};
    }
    case DecoderVariance::fixed:
    case DecoderVariance::optimal:
      break;
  }
  return {activated(parameters), torch::full({}, log_start_, parameters.options().requires_grad(false))};
}

Tensor ScaleSource::bias_for_location(const Tensor& location) const {
  const auto bias = mean_ == MeanActivation::sigmoid ? safe_logit(location) : location;
  if (variance_ != DecoderVariance::per_pixel) return bias;
  const auto first = bias.dim() == 0 ? bias.unsqueeze(0) : bias;
  return torch::cat({first, torch::zeros_like(first)}, 0);
}

}  // namespace elbo::detail
