#include "elbo/distributions/logit_laplace.h"

#include <cmath>

#include "elbo/distributions/logit_laplace_likelihood.h"
#include "support/gradients.h"

namespace elbo::logit_laplace_test {

LogitLaplace scalar(double location, double scale) {
  return {torch::full({1}, location, torch::kDouble), torch::full({1}, std::log(scale), torch::kDouble)};
}

struct Moments {
  double mass = 0, mean = 0, variance = 0;
};
/// By the trapezium rule in the logit, where the density has no peak at the edges.
Moments integrate(const LogitLaplace& p) {
  const auto logit = torch::linspace(-13, 13, 200'001, torch::kDouble);
  const auto m = logit.sigmoid();
  const auto x = (m - LogitLaplace::kMargin) / (1 - 2 * LogitLaplace::kMargin);
  const auto density = p.log_prob(x.unsqueeze(1)).exp() * m * (1 - m) / (1 - 2 * LogitLaplace::kMargin);
  const double mass = torch::trapezoid(density, logit).item<double>();
  const double mean = torch::trapezoid(density * x, logit).item<double>();
  return {mass, mean, torch::trapezoid(density * (x - mean).square(), logit).item<double>()};
}

TEST(LogitLaplace, IntegratesToOneWithItsMeanAndVariance) {
  for (const auto& [location, scale] : std::vector<std::pair<double, double>>{{0, 1}, {1, 0.5}, {-1.5, 0.1}}) {
    const auto p = scalar(location, scale);
    const auto found = integrate(p);
    EXPECT_NEAR(found.mass, 1, 2e-5);  // what is missing lies beyond the ends
    EXPECT_NEAR(p.mean().item<double>(), found.mean, 1e-5);
    EXPECT_NEAR(p.variance().item<double>(), found.variance, 1e-5);
  }
}

TEST(LogitLaplace, IsTheDensityOfItsPaperTimesTheSlope) {
  const double x = 0.3, m = 0.1 + 0.8 * x, b = 0.5, mu = -0.4;
  const double theirs = std::exp(-std::abs(std::log(m / (1 - m)) - mu) / b) / (2 * b * m * (1 - m));
  expect_close(scalar(mu, b).log_prob(values({x})), std::log(0.8 * theirs), 1e-12);
}

TEST(LogitLaplace, DrawsHaveItsMomentsAndEdgesAreFinite) {
  const auto p = scalar(0.7, 0.6);
  Stream noise(3, "noise", at::kCPU, 0, torch::kDouble);
  const auto x = p.sample({200'000}, noise);
  const double error = std::sqrt(p.variance().item<double>() / 200'000);
  EXPECT_NEAR(x.mean().item<double>(), p.mean().item<double>(), 4 * error);
  EXPECT_NEAR(x.var().item<double>() / p.variance().item<double>(), 1, 0.02);
  expect_finite(p.log_prob(values({0, 1, -0.2, 1.2}, {4, 1})));
}

TEST(LogitLaplace, GradientsMatchFiniteDifferences) {
  expect_gradient_matches(
      [](const std::vector<Tensor>& inputs) {
        return LogitLaplace(inputs[0], inputs[1]).log_prob(values({0.2, 0.5, 0.9}));
      },
      {wavy({2, 3}), wavy({2, 3}, 0.4) * 0.5});
}

TEST(LogitLaplaceLikelihood, TheDecoderGivesLocationAndScale) {
  const FieldSpec unit = {.shape = {2, 3}, .kind = ValueKind::unit};
  const auto made = make_logit_laplace_likelihood({}, {.field = unit});
  EXPECT_EQ(made->parameter_shape(), (Shape{4, 3}));
  const auto mean = values({0, 0.1, 0.4, 0.5, 0.9, 1}, {2, 3});
  expect_close(made->forward(made->bias_for_mean(mean).unsqueeze(0))->mean()[0], mean, 0, 0.12);
  const auto narrow = make_logit_laplace_likelihood({.scale = 0.05, .variance = DecoderVariance::fixed}, {.field = unit});
  expect_close(narrow->forward(narrow->bias_for_mean(mean))->mean(), mean, 0, 2e-3);
}

}  // namespace elbo::logit_laplace_test
