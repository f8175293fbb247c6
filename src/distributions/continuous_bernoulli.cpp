#include "elbo/distributions/continuous_bernoulli.h"

#include <cmath>

#include "formulas.h"

namespace elbo {
namespace {

// Around logit 0 (l = 1/2) the closed forms are 0 / 0. All series are of log(sinh(l / 2) / (l / 2)), the even part of the
// normaliser; where they are not used the closed form is, in |l|, and each branch sees an l of its own.
constexpr double kNear = 0.5;
constexpr double kSeries[] = {1. / 24, -1. / 2880, 1. / 181440, -1. / 9676800, 1. / 479001600, -691. / 15692092416000};

struct Branches {
  Tensor is_near, near, far;  // logits near 0, and magnitudes far from it
};

Branches branches_of(const Tensor& logits) {
  const auto is_near = logits.abs() < kNear;
  return {is_near, torch::where(is_near, logits, 0.0), torch::where(is_near, 1.0, logits.abs())};
}

/// sum_n factor(2 n) kSeries_n l^(2 n - lowered).
template <class Factor>
Tensor series(const Tensor& l, int lowered, Factor factor) {
  auto sum = torch::zeros_like(l);
  int power = 2;
  for (const double coefficient : kSeries) {
    sum = sum + factor(power) * coefficient * l.pow(power - lowered);
    power += 2;
  }
  return sum;
}

/// log((1 + u (e^l - 1))) / l, the quantile, for small l: the cumulants of a Bernoulli variable of mean u.
Tensor near_quantile(const Tensor& l, const Tensor& u) {
  const auto v = u * (1 - u), odd = v * (1 - 2 * u);
  const auto k4 = v * (1 - 6 * v), k5 = odd * (1 - 12 * v), k6 = v * (1 - 30 * v * (1 - 4 * v));
  return u + l * (v / 2 + l * (odd / 6 + l * (k4 / 24 + l * (k5 / 120 + l * k6 / 720))));
}

}  // namespace

ContinuousBernoulli::ContinuousBernoulli(Tensor logits, int64_t event_dims)
    : Distribution(logits, event_dims), logits_(std::move(logits)) {}

Tensor ContinuousBernoulli::log_normaliser() const {
  const auto [is_near, near, a] = branches_of(logits_);
  const auto far = logits_.clamp_min(0) + torch::log1p(-(-a).exp()) - a.log();
  return torch::where(is_near, 0.5 * near + series(near, 0, [](int) { return 1; }), far);
}

Tensor ContinuousBernoulli::mean() const {
  const auto [is_near, near, a] = branches_of(logits_);
  const auto low = 1 / a + (-a).exp() / torch::expm1(-a);  // the mean at -|l|
  return torch::where(is_near, 0.5 + series(near, 1, [](int n) { return n; }), torch::where(logits_ > 0, 1 - low, low));
}

Tensor ContinuousBernoulli::variance() const {
  const auto [is_near, near, a] = branches_of(logits_);
  const auto far = 1 / a.square() - (-a).exp() / torch::expm1(-a).square();
  return torch::where(is_near, series(near, 2, [](int n) { return n * (n - 1); }), far);
}

DistributionPtr ContinuousBernoulli::detached() const {
  return std::make_shared<ContinuousBernoulli>(logits_.detach(), detail::event_dims(*this));
}

Tensor ContinuousBernoulli::do_log_prob(const Tensor& value) const {
  return detail::sum_event(*this, do_log_prob_per_element(value));
}

Tensor ContinuousBernoulli::do_log_prob_per_element(const Tensor& value) const {
  return torch::where((value >= 0) & (value <= 1), logits_ * value - log_normaliser(), -INFINITY);
}

Tensor ContinuousBernoulli::do_rsample(at::IntArrayRef leading, Noise& noise) const {
  // The quantile of -|l|, which never overflows, mirrored for positive logits: continuous in l for each u.
  const auto u = detail::open_uniform(noise, leading, event_shape());
  const auto is_near = logits_.abs() < 0.03;
  const auto l = torch::where(is_near, logits_, 0.0), a = torch::where(is_near, 1.0, logits_.abs());
  const auto positive = logits_ > 0;
  const auto far = -torch::log1p(torch::where(positive, 1 - u, u) * torch::expm1(-a)) / a;
  return torch::where(is_near, near_quantile(l, u), torch::where(positive, 1 - far, far)).clamp(0, 1);
}

Tensor ContinuousBernoulli::do_entropy() const {
  // log_normaliser - logit mean, even in the logit and with nothing that cancels.
  const auto [is_near, near, a] = branches_of(logits_);
  const auto tail = (-a).exp();
  const auto far = 1 - a * tail / (1 - tail) + torch::log1p(-tail) - a.log();
  return detail::sum_event(*this, torch::where(is_near, series(near, 0, [](int n) { return 1 - n; }), far));
}

}  // namespace elbo
