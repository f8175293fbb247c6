#include "elbo/distributions/categorical.h"

#include "elbo/base/error.h"

namespace elbo {
namespace {

/// The logits' shape without the class axis, as a stand-in parameter that carries shapes only.
Tensor without_classes(const Tensor& logits, int64_t event_dims, int64_t class_dim) {
  if (class_dim >= 0 || class_dim < -(event_dims + 1) || logits.dim() < event_dims + 1) {
    throw ShapeError("categorical: logits " + shape_text(logits.sizes()) + " with " + std::to_string(event_dims) +
                     " event extents: class_dim must be in [" + std::to_string(-event_dims - 1) + ", -1], got " +
                     std::to_string(class_dim));
  }
  return logits.select(class_dim, 0);
}

}  // namespace

Categorical::Categorical(Tensor logits, int64_t event_dims, int64_t class_dim)
    : Distribution(without_classes(logits, event_dims, class_dim), event_dims),
      logits_(std::move(logits)),
      class_dim_(class_dim) {}

Tensor Categorical::expectation(const Tensor& of_class) const {
  return torch::matmul(logits_.softmax(class_dim_).movedim(class_dim_, -1), of_class);
}

Tensor Categorical::mean() const { return expectation(torch::arange(num_classes(), logits_.options().requires_grad(false))); }

Tensor Categorical::variance() const {
  const auto classes = torch::arange(num_classes(), logits_.options().requires_grad(false));
  const auto deviation = classes - mean().unsqueeze(-1);
  return (logits_.softmax(class_dim_).movedim(class_dim_, -1) * deviation.square()).sum(-1);
}

DistributionPtr Categorical::detached() const {
  return std::make_shared<Categorical>(logits_.detach(), static_cast<int64_t>(event_shape().size()), class_dim_);
}

Tensor Categorical::do_log_prob(const Tensor& value) const {
  return sum_last(do_log_prob_per_element(value), static_cast<int64_t>(event_shape().size()));
}

Tensor Categorical::do_log_prob_per_element(const Tensor& value) const {
  // The index is expanded as a view where the logits carry samples, the logits where the value does.
  const auto index = value.to(torch::kLong).unsqueeze(class_dim_);
  auto shape = at::infer_size(index.sizes(), logits_.sizes());
  const auto at_class = shape.size() + class_dim_;
  shape[at_class] = 1;
  const auto wide_index = index.expand(shape);
  shape[at_class] = num_classes();
  const auto picked = logits_.expand(shape).gather(class_dim_, wide_index).squeeze(class_dim_);
  return picked - torch::logsumexp(logits_, class_dim_);
}

Tensor Categorical::do_sample(at::IntArrayRef leading, Noise& noise) const {
  return detail::pick_class(logits_.softmax(class_dim_).movedim(class_dim_, -1), noise.uniform(leading, event_shape()));
}

Tensor Categorical::do_entropy() const {
  const auto log_p = log_probabilities();
  const auto p = log_p.exp();
  const auto units = -(p * torch::where(p == 0, 0.0, log_p)).sum(class_dim_);  // 0 log 0 = 0
  return sum_last(units, static_cast<int64_t>(event_shape().size()));
}

Tensor detail::pick_class(const Tensor& probabilities, const Tensor& u) {
  // In whole numbers: their running sum is exact, so that a class of probability zero, which adds nothing, is never reached, and
  // unlike that of floating-point numbers it has a deterministic form on every device.
  constexpr double kUnits = 0x1p48;
  const auto sums = (probabilities.detach().to(torch::kDouble).nan_to_num(0) * kUnits).to(torch::kLong).cumsum(-1);
  const auto total = sums.select(-1, -1);
  const auto threshold = torch::minimum((u.to(torch::kDouble) * total).to(torch::kLong), total - 1);
  return (sums <= threshold.unsqueeze(-1)).sum(-1);
}

}  // namespace elbo
