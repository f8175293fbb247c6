#include "formulas.h"

#include <numbers>

namespace elbo::detail {

Tensor sum_event(const Distribution& d, const Tensor& per_element) {
  const auto whole = at::infer_size(per_element.sizes(), joined(d.batch_shape(), d.event_shape()));
  return sum_last(per_element.expand(whole), event_dims(d));
}

void check_parameter(const Tensor& parameter, const Tensor& like, std::string_view what) {
  if (parameter.dim() != 0) check_shape(parameter, like.sizes(), what);
}

Tensor open_uniform(Noise& noise, at::IntArrayRef leading, at::IntArrayRef event) {
  const auto u = noise.uniform(leading, event);
  const double edge = u.scalar_type() == torch::kDouble ? 0x1p-53 : 0x1p-24;  // the spacing of the numbers below 1
  return u.clamp(edge, 1 - edge);
}

Tensor log1m_exp(const Tensor& h) {
  // The branch not taken sees a number where it has a finite gradient: where() multiplies that by zero.
  constexpr double split = std::numbers::ln2, smallest = 1e-37;
  return torch::where(h < split, (-torch::expm1(-h.clamp(smallest, split))).log(),
                      torch::log1p(-torch::exp(-h.clamp_min(split))));
}

Tensor poisson_quantile(const Tensor& rate, const Tensor& u) {
  // Outside ten standard deviations and forty counts more on the right lies less than 2^-53.
  const auto spread = 10 * rate.sqrt();
  auto [low, high] = std::pair{(rate - spread - 1).floor().clamp_min(0) - 1, (rate + spread + 40).ceil()};
  constexpr int kHalvings = 36;  // enough for rates to 1e19
  for (int i = 0; i < kHalvings; ++i) {
    // Stopping early changes no number; on a GPU asking would cost more than going on.
    if (low.is_cpu() && !(high - low > 1).any().item<bool>()) break;
    const auto middle = ((low + high) / 2).floor();
    const auto beyond = torch::igammac(middle + 1, rate) > u;
    high = torch::where(beyond & (middle > low), middle, high);
    low = torch::where(beyond, low, middle);
  }
  return low + 1;
}

Tensor gamma_quantile(const Tensor& shape, const Tensor& u) {
  // Bisection in log x: small shapes put their mass at e^-1000 as well as at 1.
  auto high = (shape + 10 * shape.sqrt() + 40).log();
  auto low = torch::full_like(high, -745);  // below it lie only denormal numbers
  constexpr int kHalvings = 44;             // to a relative 1e-10
  for (int i = 0; i < kHalvings; ++i) {
    const auto middle = (low + high) / 2;
    const auto beyond = torch::igamma(shape, middle.exp()) > u;
    high = torch::where(beyond, middle, high);
    low = torch::where(beyond, low, middle);
  }
  return high.exp();
}

}  // namespace elbo::detail
