#include "elbo/distributions/student_t.h"

#include <cmath>
#include <numbers>

#include "formulas.h"

namespace elbo {
namespace {

/// log Gamma(a + 1/2) - log Gamma(a), in float64; from a = 100 on by Stirling's series, as the two grow alike.
Tensor log_gamma_step(const Tensor& a) {
  constexpr double kFar = 100;
  const auto x = a.to(torch::kDouble);
  const auto near = x.clamp_max(kFar), inverse = x.clamp_min(kFar).reciprocal();
  const auto cube = inverse.pow(3);
  const auto series = -0.5 * inverse.log() - inverse / 8 + cube / 192 - cube * inverse.square() / 640;
  return torch::where(x < kFar, torch::lgamma(near + 0.5) - torch::lgamma(near), series);
}

/// -log of the density at t = 0. Source: log B(df / 2, 1 / 2) + log(df) / 2.
Tensor log_normaliser(const Tensor& df) {
  return (0.5 * (std::numbers::pi * df.to(torch::kDouble)).log() - log_gamma_step(df / 2)).to(df.scalar_type());
}

}  // namespace

StudentT::StudentT(Tensor df, Tensor location, Tensor log_scale, int64_t event_dims)
    : Distribution(location, event_dims), df_(std::move(df)), location_(std::move(location)), log_scale_(std::move(log_scale)) {
  detail::check_parameter(df_, location_, "student_t: df");
  detail::check_parameter(log_scale_, location_, "student_t: log_scale");
}

Tensor StudentT::mean() const { return torch::where(df_ > 1, location_, NAN); }

Tensor StudentT::variance() const {
  const auto finite = (2 * log_scale_).exp() * df_ / (df_ - 2);
  return torch::where(df_ > 2, finite, torch::where(df_ > 1, INFINITY, NAN).to(location_.scalar_type())).expand_as(location_);
}

DistributionPtr StudentT::detached() const {
  return std::make_shared<StudentT>(df_.detach(), location_.detach(), log_scale_.detach(), detail::event_dims(*this));
}

Tensor StudentT::do_log_prob(const Tensor& value) const { return detail::sum_event(*this, do_log_prob_per_element(value)); }

Tensor StudentT::do_log_prob_per_element(const Tensor& value) const {
  const auto t = (value - location_) * (-log_scale_).exp();
  return -0.5 * (df_ + 1) * torch::log1p(t.square() / df_) - (log_scale_ + log_normaliser(df_));
}

Tensor StudentT::do_rsample(at::IntArrayRef leading, Noise& noise) const {
  // Radius sqrt(df (u^(-2 / df) - 1)), as df grows Box and Muller's sqrt(-2 log u), and one coordinate of it. With a = -2 log(u)
  // / df the difference is e^a (1 - e^-a), which neither cancels nor overflows.
  const auto a = -2 * detail::open_uniform(noise, leading, event_shape()).log() / df_;
  const auto radius = (df_ * -torch::expm1(-a)).sqrt() * (0.5 * a).exp();
  const auto angle = 2 * std::numbers::pi * noise.uniform(leading, event_shape());
  return location_ + log_scale_.exp() * (radius * angle.cos());
}

Tensor StudentT::do_entropy() const {
  const auto df = df_.to(torch::kDouble);
  const auto step = torch::digamma(0.5 * (df + 1)) - torch::digamma(0.5 * df);
  return detail::sum_event(*this, log_scale_ + log_normaliser(df_) + (0.5 * (df + 1) * step).to(df_.scalar_type()));
}

}  // namespace elbo
