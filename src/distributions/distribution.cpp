#include "elbo/distributions/distribution.h"

#include "elbo/base/error.h"

namespace elbo {
namespace {

at::IntArrayRef leading_of(const Tensor& parameter, int64_t event_dims) {
  if (event_dims < 0 || parameter.dim() < event_dims) {
    throw ShapeError("distribution: parameters " + shape_text(parameter.sizes()) + " can't have " + std::to_string(event_dims) +
                     " event extents");
  }
  return parameter.sizes().slice(0, parameter.dim() - event_dims);
}

bool ends_with(at::IntArrayRef shape, at::IntArrayRef end) {
  return shape.size() >= end.size() && shape.slice(shape.size() - end.size()) == end;
}

bool broadcasts(at::IntArrayRef a, at::IntArrayRef b) {
  for (size_t i = 1; i <= std::min(a.size(), b.size()); ++i) {
    const auto x = a[a.size() - i], y = b[b.size() - i];
    if (x != y && x != 1 && y != 1) return false;
  }
  return true;
}

std::string shapes_of(const Distribution& d) {
  return std::string(d.name()) + " with batch " + shape_text(d.batch_shape()) + ", event " + shape_text(d.event_shape());
}

}  // namespace

Distribution::Distribution(const Tensor& parameter, int64_t event_dims)
    : batch_shape_(leading_of(parameter, event_dims).vec()),
      event_shape_(parameter.sizes().slice(parameter.dim() - event_dims).vec()) {}

void Distribution::check_value(const Tensor& value) const {
  if (!value.defined()) throw ShapeError(shapes_of(*this) + ": log_prob got no value");
  const auto shape = value.sizes();
  if (!ends_with(shape, event_shape_) || !broadcasts(shape.slice(0, shape.size() - event_shape_.size()), batch_shape_)) {
    throw ShapeError(shapes_of(*this) + ": log_prob got a value " + shape_text(shape) +
                     ", expected [sample..., batch..., event...]");
  }
}

Tensor Distribution::log_prob(const Tensor& value) const {
  check_value(value);
  return do_log_prob(value);
}

Tensor Distribution::log_prob_per_element(const Tensor& value) const {
  check_value(value);
  return do_log_prob_per_element(value);
}

Tensor Distribution::log_prob(const Tensor& value, const Tensor& valid) const {
  check_value(value);
  // A value that can be, so that what is left out has a finite density and no NaN reaches the gradient.
  const auto possible = torch::where(valid, value, mode().detach().to(value.scalar_type()));
  const auto per_element = do_log_prob_per_element(possible);
  return sum_last(torch::where(valid, per_element, torch::zeros({}, per_element.options())),
                  static_cast<int64_t>(event_shape_.size()));
}

void Distribution::check_leading(at::IntArrayRef leading) const {
  if (!ends_with(leading, batch_shape_)) {
    throw ShapeError(shapes_of(*this) + ": can't draw " + shape_text(leading) + ", expected [sample..., batch...]");
  }
}

Tensor Distribution::sample(at::IntArrayRef leading, Noise& noise) const {
  check_leading(leading);
  const torch::NoGradGuard no_grad;
  return do_sample(leading, noise);
}

Tensor Distribution::rsample(at::IntArrayRef leading, Noise& noise) const {
  check_leading(leading);
  return do_rsample(leading, noise);
}

Tensor Distribution::entropy() const { return do_entropy(); }

Tensor Distribution::do_rsample(at::IntArrayRef, Noise&) const {
  throw UsageError("distribution '" + std::string(name()) + "' has no reparametrised sample: use sample() and a score-function " +
                   "estimator, or a distribution with one such as 'normal'");
}

Tensor Distribution::do_log_prob_per_element(const Tensor&) const {
  throw UsageError("distribution '" + std::string(name()) +
                   "' does not factorise over its event: it has no log-density of single " +
                   "elements, and none can be left out");
}

Tensor Distribution::do_entropy() const {
  throw UsageError("distribution '" + std::string(name()) + "' has no closed-form entropy: average -log_prob over its samples");
}

}  // namespace elbo
