#include "elbo/distributions/normal.h"

#include <cmath>
#include <numbers>

#include "elbo/base/error.h"
#include "elbo/ops/normal.h"

namespace elbo {
namespace {

const double kLogTwoPi = std::log(2 * std::numbers::pi);

double event_size(const Distribution& d) { return static_cast<double>(c10::multiply_integers(d.event_shape())); }

}  // namespace

Normal::Normal(Tensor mean, Tensor log_var, int64_t event_dims)
    : Distribution(mean, event_dims), mean_(std::move(mean)), log_var_(std::move(log_var)) {
  if (log_var_.dim() != 0) check_shape(log_var_, mean_.sizes(), "normal: log_var");
}

std::shared_ptr<Normal> Normal::with_scale(Tensor mean, double scale, int64_t event_dims) {
  if (!(scale > 0) || !std::isfinite(scale)) throw UsageError("normal: scale must be > 0, got " + std::to_string(scale));
  auto log_var = torch::full({}, 2 * std::log(scale), mean.options().requires_grad(false));
  return std::make_shared<Normal>(std::move(mean), std::move(log_var), event_dims);
}

Tensor Normal::variance() const { return log_var_.exp().expand_as(mean_); }

DistributionPtr Normal::detached() const {
  return std::make_shared<Normal>(mean_.detach(), log_var_.detach(), static_cast<int64_t>(event_shape().size()));
}

Tensor Normal::summed_log_var() const {
  return log_var_.dim() == 0 ? log_var_ * event_size(*this) : sum_last(log_var_, static_cast<int64_t>(event_shape().size()));
}

Tensor Normal::do_log_prob(const Tensor& value) const {
  const auto event_dims = static_cast<int64_t>(event_shape().size());
  if (log_var_.dim() != 0) return normal_log_prob(value, mean_, log_var_, event_dims);
  const auto distance = sum_last((value - mean_).square(), event_dims) * (-log_var_).exp();
  return -0.5 * (distance + (summed_log_var() + event_size(*this) * kLogTwoPi));
}

Tensor Normal::do_log_prob_per_element(const Tensor& value) const {
  return -0.5 * ((value - mean_).square() * (-log_var_).exp() + log_var_ + kLogTwoPi);
}

Tensor Normal::do_rsample(at::IntArrayRef leading, Noise& noise) const {
  const auto drawn = noise.normal(leading, event_shape());
  return log_var_.dim() == 0 ? torch::addcmul(mean_, (0.5 * log_var_).exp(), drawn) : normal_rsample(mean_, log_var_, drawn);
}

Tensor Normal::do_entropy() const {
  return (0.5 * (summed_log_var() + event_size(*this) * (1 + kLogTwoPi))).expand(batch_shape());
}

StandardNormal::StandardNormal(Shape batch_shape, Shape event_shape, at::TensorOptions options)
    : Distribution(std::move(batch_shape), std::move(event_shape)), options_(options) {}

Tensor StandardNormal::mean() const { return torch::zeros(joined(batch_shape(), event_shape()), options_); }
Tensor StandardNormal::variance() const { return torch::ones(joined(batch_shape(), event_shape()), options_); }

Tensor StandardNormal::do_log_prob(const Tensor& value) const {
  const auto distance = sum_last(value.square(), static_cast<int64_t>(event_shape().size()));
  const auto log_prob = -0.5 * distance - 0.5 * event_size(*this) * kLogTwoPi;
  return log_prob.expand(at::infer_size(log_prob.sizes(), batch_shape()));
}

Tensor StandardNormal::do_log_prob_per_element(const Tensor& value) const {
  const auto log_prob = -0.5 * (value.square() + kLogTwoPi);
  return log_prob.expand(at::infer_size(log_prob.sizes(), joined(batch_shape(), event_shape())));
}

Tensor StandardNormal::do_rsample(at::IntArrayRef leading, Noise& noise) const {
  return noise.normal(leading, event_shape()).to(options_);
}

Tensor StandardNormal::do_entropy() const {
  return torch::full(batch_shape(), 0.5 * event_size(*this) * (1 + kLogTwoPi), options_);
}

}  // namespace elbo
