#include "elbo/distributions/logit_laplace.h"

#include <cmath>
#include <numbers>
#include <vector>

#include "formulas.h"

namespace elbo {
namespace {

constexpr double kSlope = 1 - 2 * LogitLaplace::kMargin;

struct Quadrature {
  std::vector<double> nodes = {};
  std::vector<double> weights = {};
};

/// Of expectations under Exp(1): Golub & Welsch 1969, from the recurrence of Laguerre's polynomials.
const Quadrature& laguerre() {
  static const Quadrature rule = [] {
    constexpr int64_t kNodes = 32;
    const auto k = torch::arange(kNodes, torch::kDouble);
    const auto beside = k.slice(0, 1).diag(1);
    const auto [nodes, vectors] = torch::linalg_eigh((2 * k + 1).diag() + beside + beside.t());
    const auto weights = vectors[0].square().contiguous();
    Quadrature found;
    for (int64_t i = 0; i < kNodes; ++i) {
      found.nodes.push_back(nodes[i].item<double>());
      found.weights.push_back(weights[i].item<double>());
    }
    return found;
  }();
  return rule;
}

/// E[f(sigmoid(logit))] of a Laplace distributed logit.
template <class F>
Tensor expectation(const Tensor& location, const Tensor& scale, const F& f) {
  auto sum = torch::zeros_like(location);
  for (size_t i = 0; i < laguerre().nodes.size(); ++i) {
    const auto away = laguerre().nodes[i] * scale;
    sum = sum + 0.5 * laguerre().weights[i] * (f((location + away).sigmoid()) + f((location - away).sigmoid()));
  }
  return sum;
}

}  // namespace

LogitLaplace::LogitLaplace(Tensor location, Tensor log_scale, int64_t event_dims)
    : Distribution(location, event_dims), location_(std::move(location)), log_scale_(std::move(log_scale)) {
  detail::check_parameter(log_scale_, location_, "logit_laplace: log_scale");
}

Tensor LogitLaplace::mean() const {
  return (expectation(location_, log_scale_.exp(), [](const Tensor& m) { return m; }) - kMargin) / kSlope;
}

Tensor LogitLaplace::variance() const {
  const auto centre = kMargin + kSlope * mean();
  return expectation(location_, log_scale_.exp(), [&](const Tensor& m) { return (m - centre).square(); }) / (kSlope * kSlope);
}

DistributionPtr LogitLaplace::detached() const {
  return std::make_shared<LogitLaplace>(location_.detach(), log_scale_.detach(), detail::event_dims(*this));
}

Tensor LogitLaplace::do_log_prob(const Tensor& value) const { return detail::sum_event(*this, do_log_prob_per_element(value)); }

Tensor LogitLaplace::do_log_prob_per_element(const Tensor& value) const {
  const auto m = (kMargin + kSlope * value).clamp(1e-6, 1 - 1e-6);
  const auto log_m = m.log(), log_rest = torch::log1p(-m);
  return -(log_m - log_rest - location_).abs() * (-log_scale_).exp() - log_scale_ - log_m - log_rest +
         (std::log(kSlope) - std::numbers::ln2);
}

Tensor LogitLaplace::do_rsample(at::IntArrayRef leading, Noise& noise) const {
  const auto side = 2 * detail::open_uniform(noise, leading, event_shape()) - 1;  // the sign and the quantile of |logit|
  const auto logit = location_ - log_scale_.exp() * side.sign() * torch::log1p(-side.abs());
  return (logit.sigmoid() - kMargin) / kSlope;
}

}  // namespace elbo
