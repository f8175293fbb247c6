#include "elbo/distributions/scale_source.h"

#include <algorithm>
#include <cmath>

#include "elbo/distributions/bernoulli_likelihood.h"

namespace elbo::detail {

Tensor bounded_log_scale(const Tensor& x) { return kMinLogScale + torch::softplus(x - kMinLogScale); }

Shape first_times(Shape shape, int64_t factor) {
  if (shape.empty()) shape = {1};
  shape[0] *= factor;
  return shape;
}

Halves halves_of(const Tensor& parameters, const Shape& event_shape) {
  const auto own = static_cast<int64_t>(std::max<size_t>(event_shape.size(), 1));
  const auto halves = parameters.chunk(2, -own);
  const auto shape = joined(parameters.sizes().slice(0, parameters.dim() - own), event_shape);
  return {halves[0].reshape(shape), halves[1].reshape(shape)};
}

ScaleSource::ScaleSource(torch::nn::Module& owner, DecoderVariance variance, double scale, MeanActivation mean, Shape event_shape)
    : variance_(variance), log_start_(std::log(scale)), mean_(mean), event_shape_(std::move(event_shape)) {
  if (variance_ == DecoderVariance::learned) log_scale_ = owner.register_parameter("log_scale", torch::full({}, log_start_));
}

Shape ScaleSource::parameter_shape() const {
  return variance_ == DecoderVariance::per_pixel ? first_times(event_shape_, 2) : event_shape_;
}

LocationAndScale ScaleSource::split(const Tensor& parameters) const {
  const auto activated = [this](const Tensor& x) { return mean_ == MeanActivation::sigmoid ? x.sigmoid() : x; };
  switch (variance_) {
    case DecoderVariance::learned:
      return {activated(parameters), bounded_log_scale(log_scale_)};
    case DecoderVariance::per_pixel: {
      const auto [location, log_var] = halves_of(parameters, event_shape_);
      return {activated(location), bounded_log_scale(0.5 * log_var + log_start_)};
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
