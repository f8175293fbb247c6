#include "elbo/distributions/discretized_logistic.h"

#include <cmath>

#include "elbo/base/error.h"
#include "elbo/distributions/categorical.h"
#include "formulas.h"

namespace elbo {
namespace {

constexpr int64_t kLevels = DiscretizedLogistic::kLevels;

Tensor level_of(const Tensor& value) { return (value * kLevels).floor().clamp(0, kLevels - 1); }

/// log of the mass of the value's bin [x, x + 1/256). With a = (x - m) / s and h = 1 / (256 s) the difference sig(a + h) - sig(a)
/// is sig(a + h) sig(-a) (1 - e^-h): no cancellation, however far in a tail. h is taken from s, not from the bin's two ends.
Tensor log_mass(const Tensor& value, const Tensor& location, const Tensor& log_scale) {
  const auto level = level_of(value);
  const auto x = (level / kLevels).to(location.scalar_type());
  const auto inverse_scale = (-log_scale).exp();
  const auto a = (x - location) * inverse_scale, b = (x + 1.0 / kLevels - location) * inverse_scale;
  const auto below = torch::log_sigmoid(b), above = torch::log_sigmoid(-a);
  const auto inside = below + above + detail::log1m_exp(inverse_scale / kLevels);
  return torch::where(level == 0, below, torch::where(level == kLevels - 1, above, inside));
}

/// E x = sum over k = 1..255 of P(x >= k/256) / 256, to 1e-7: what pictures show, so without the 255 sigmoids. Counted in levels,
/// m the location and s the scale. From s = 1 on the sum is the Euler-Maclaurin series of its integral; below, all but the levels
/// around m are certain.
Tensor mean_of(const Tensor& location, const Tensor& log_scale) {
  constexpr int64_t kAround = 12;
  const auto m = location * kLevels, s = (log_scale.exp() * kLevels).expand_as(location);
  const auto inverse_wide = s.clamp_min(1).reciprocal(), inverse_narrow = s.clamp_max(1).reciprocal();

  const auto end = [&](double at) {
    const auto x = (m - at) * inverse_wide;
    const auto p = x.sigmoid(), slope = p * (1 - p);
    return -torch::log_sigmoid(-x) / inverse_wide - slope * inverse_wide / 24 +
           (7. / 5760) * slope * (1 - 6 * slope) * inverse_wide.pow(3);
  };
  const auto wide = end(0.5) - end(kLevels - 0.5);

  const auto level = m.detach().floor();
  auto narrow = (level - kAround).clamp(0, kLevels - 1);
  for (int64_t j = 1 - kAround; j <= kAround; ++j) {
    const auto k = level + j;
    narrow = narrow + torch::where((k >= 1) & (k < kLevels), ((m - k) * inverse_narrow).sigmoid(), 0.0);
  }
  return torch::where(s >= 1, wide, narrow) / kLevels;
}

struct Moments {
  Tensor mean, square;
};

/// Exact: by tails, E x = sum P(x >= k/256) / 256 and E x^2 = sum (2k - 1) P(x >= k/256) / 256^2, one level at a time.
Moments moments_of(const Tensor& location, const Tensor& log_scale) {
  const auto inverse_scale = (-log_scale).exp();
  Moments moments{torch::zeros_like(location), torch::zeros_like(location)};
  for (int64_t k = 1; k < kLevels; ++k) {
    const auto tail = ((location - static_cast<double>(k) / kLevels) * inverse_scale).sigmoid();
    moments.mean = moments.mean + tail;
    moments.square = moments.square + static_cast<double>(2 * k - 1) * tail;
  }
  return {moments.mean / kLevels, moments.square / (kLevels * kLevels)};
}

/// The likeliest of the two open bins and the one around the location.
Tensor mode_of(const Tensor& location, const Tensor& log_scale) {
  auto best = level_of(location) / kLevels;
  for (const double edge : {0.0, static_cast<double>(kLevels - 1) / kLevels}) {
    const auto other = torch::full_like(best, edge);
    best = torch::where(log_mass(other, location, log_scale) > log_mass(best, location, log_scale), other, best);
  }
  return best;
}

Tensor drawn(const Tensor& location, const Tensor& log_scale, const Tensor& u) {
  return level_of(location + log_scale.exp() * (u.log() - torch::log1p(-u))) / kLevels;
}

Tensor without_components(const Tensor& logits) {
  if (logits.dim() == 0) throw ShapeError("discretized_logistic_mixture: the logits need an extent for the components");
  return logits.select(-1, 0);
}

/// 0 where the weight is, whatever is weighed.
Tensor weighted_sum(const Tensor& weights, const Tensor& of_components) {
  return torch::where(weights == 0, 0.0, weights * of_components).sum(-1);
}

Tensor picked(const Tensor& of_components, const Tensor& index) {
  auto shape = index.sizes().vec();
  shape.push_back(of_components.size(-1));
  return of_components.expand(shape).gather(-1, index.unsqueeze(-1)).squeeze(-1);
}

}  // namespace

DiscretizedLogistic::DiscretizedLogistic(Tensor mean, Tensor log_scale, int64_t event_dims)
    : Distribution(mean, event_dims), location_(std::move(mean)), log_scale_(std::move(log_scale)) {
  detail::check_parameter(log_scale_, location_, "discretized_logistic: log_scale");
}

Tensor DiscretizedLogistic::mean() const { return mean_of(location_, log_scale_); }

Tensor DiscretizedLogistic::variance() const {
  const auto [mean, square] = moments_of(location_, log_scale_);
  return square - mean.square();
}

Tensor DiscretizedLogistic::mode() const {
  const torch::NoGradGuard no_grad;
  return mode_of(location_, log_scale_);
}

DistributionPtr DiscretizedLogistic::detached() const {
  return std::make_shared<DiscretizedLogistic>(location_.detach(), log_scale_.detach(), detail::event_dims(*this));
}

Tensor DiscretizedLogistic::do_log_prob(const Tensor& value) const {
  return detail::sum_event(*this, do_log_prob_per_element(value));
}

Tensor DiscretizedLogistic::do_log_prob_per_element(const Tensor& value) const { return log_mass(value, location_, log_scale_); }

Tensor DiscretizedLogistic::do_sample(at::IntArrayRef leading, Noise& noise) const {
  return drawn(location_, log_scale_, detail::open_uniform(noise, leading, event_shape()));
}

DiscretizedLogisticMixture::DiscretizedLogisticMixture(Tensor logits, Tensor means, Tensor log_scales, int64_t event_dims)
    : Distribution(without_components(logits), event_dims),
      logits_(std::move(logits)),
      means_(std::move(means)),
      log_scales_(std::move(log_scales)) {
  check_shape(means_, logits_.sizes(), "discretized_logistic_mixture: means against logits");
  check_shape(log_scales_, logits_.sizes(), "discretized_logistic_mixture: log_scales against logits");
}

Tensor DiscretizedLogisticMixture::mean() const { return weighted_sum(logits_.softmax(-1), mean_of(means_, log_scales_)); }

Tensor DiscretizedLogisticMixture::variance() const {
  const auto weights = logits_.softmax(-1);
  const auto [mean, square] = moments_of(means_, log_scales_);
  return weighted_sum(weights, square) - weighted_sum(weights, mean).square();
}

Tensor DiscretizedLogisticMixture::mode() const {
  const torch::NoGradGuard no_grad;
  return picked(mode_of(means_, log_scales_), logits_.argmax(-1));
}

DistributionPtr DiscretizedLogisticMixture::detached() const {
  return std::make_shared<DiscretizedLogisticMixture>(logits_.detach(), means_.detach(), log_scales_.detach(),
                                                      detail::event_dims(*this));
}

Tensor DiscretizedLogisticMixture::do_log_prob(const Tensor& value) const {
  return detail::sum_event(*this, do_log_prob_per_element(value));
}

Tensor DiscretizedLogisticMixture::do_log_prob_per_element(const Tensor& value) const {
  const auto log_w = log_weights();
  const auto joint = torch::where(log_w == -INFINITY, -INFINITY, log_w + log_mass(value.unsqueeze(-1), means_, log_scales_));
  return torch::logsumexp(joint, -1);
}

Tensor DiscretizedLogisticMixture::do_sample(at::IntArrayRef leading, Noise& noise) const {
  const auto chosen = detail::pick_class(logits_.softmax(-1), noise.uniform(leading, event_shape()));
  return drawn(picked(means_, chosen), picked(log_scales_, chosen), detail::open_uniform(noise, leading, event_shape()));
}

}  // namespace elbo
