#include "elbo/distributions/one_hot_categorical.h"

#include "elbo/base/error.h"
#include "elbo/distributions/categorical.h"
#include "formulas.h"

namespace elbo {

OneHotCategorical::OneHotCategorical(Tensor logits, int64_t event_dims)
    : Distribution(logits, event_dims), logits_(std::move(logits)) {
  if (event_dims < 1) throw ShapeError("one_hot_categorical: the classes are part of the event, got event_dims 0, expected >= 1");
}

Tensor OneHotCategorical::one_hot(const Tensor& index) const {
  const auto classes = torch::arange(num_classes(), index.options());
  return (index.unsqueeze(-1) == classes).to(logits_.scalar_type());
}

Tensor OneHotCategorical::variance() const {
  const auto p = mean();
  return p * (1 - p);
}

Tensor OneHotCategorical::mode() const { return one_hot(logits_.argmax(-1)); }

DistributionPtr OneHotCategorical::detached() const {
  return std::make_shared<OneHotCategorical>(logits_.detach(), detail::event_dims(*this));
}

Tensor OneHotCategorical::do_log_prob(const Tensor& value) const {
  const auto chosen = torch::where(value == 0, 0.0, value.to(logits_.scalar_type()) * log_probabilities());  // 0 times -inf is 0
  return detail::sum_event(*this, chosen);
}

Tensor OneHotCategorical::do_sample(at::IntArrayRef leading, Noise& noise) const {
  const auto event = event_shape();
  const auto positions = at::IntArrayRef(event).slice(0, event.size() - 1);
  return one_hot(detail::pick_class(mean(), noise.uniform(leading, positions)));
}

Tensor OneHotCategorical::do_entropy() const {
  const auto log_p = log_probabilities();
  const auto p = log_p.exp();
  return detail::sum_event(*this, -(p * torch::where(p == 0, 0.0, log_p)));  // 0 log 0 = 0
}

}  // namespace elbo
