// Student-t, continuous Bernoulli and log-normal: what the walk over all distributions can't ask of each.
#include <gtest/gtest.h>

#include <numbers>

#include "elbo/distributions/continuous_bernoulli.h"
#include "elbo/distributions/log_normal.h"
#include "elbo/distributions/normal.h"
#include "elbo/distributions/student_t.h"
#include "support/gradients.h"

using namespace elbo;

namespace continuous_distributions {
namespace {

class PreparedNoise final : public Noise {
 public:
  explicit PreparedNoise(Tensor numbers) : numbers_(std::move(numbers)) {}
  Tensor normal(at::IntArrayRef leading, at::IntArrayRef event) override { return numbers_.view(joined(leading, event)); }
  Tensor uniform(at::IntArrayRef leading, at::IntArrayRef event) override { return numbers_.view(joined(leading, event)); }

 private:
  Tensor numbers_;
};

TEST(StudentT, OfOneDegreeOfFreedomIsCauchy) {
  const auto location = torch::zeros({1}, torch::kDouble);
  const StudentT p(torch::ones({1}, torch::kDouble), location, location);
  Stream stream(1, "continuous_test", torch::kCPU);
  constexpr int64_t n = 200'000;
  const auto x = p.sample({n}, stream);
  for (const double at : {-20., -1., 0., 0.3, 5.}) {
    const double expected = 0.5 + std::atan(at) / std::numbers::pi;
    const double below = (x < at).to(torch::kDouble).mean().item<double>();
    EXPECT_NEAR(below, expected, 4 * std::sqrt(expected * (1 - expected) / n)) << at;
  }
  EXPECT_TRUE(p.mean().isnan().all().item<bool>());
  EXPECT_TRUE(p.variance().isnan().all().item<bool>());
  expect_equal(p.mode(), location);
}

TEST(StudentT, OfManyDegreesOfFreedomIsNormal) {
  const auto zero = torch::zeros({1}), df = torch::full({1}, 1e8F);
  const StudentT p(df, zero, zero);
  const auto x = torch::linspace(-5, 5, 11).unsqueeze(-1);
  expect_close(p.log_prob(x), Normal(zero, zero).log_prob(x), 3e-6);
  Stream stream(1, "continuous_test", torch::kCPU);
  const auto draws = p.sample({100'000}, stream);
  expect_close(draws.var(), 1, 0.02);
}

TEST(StudentT, TheHeaviestTailsAreDrawnFiniteInFloat32) {
  auto df = torch::full({1}, 0.4F).requires_grad_();
  const StudentT p(df, torch::zeros({1}), torch::zeros({1}));
  Stream stream(1, "continuous_test", torch::kCPU);
  const auto x = p.rsample({100'000}, stream);
  expect_finite(x);
  expect_finite(gradient_of(x / (1 + x.detach().abs()), df));
}

TEST(ContinuousBernoulli, IntegratesToOne) {
  const auto x = torch::linspace(0, 1, 100'001, torch::kDouble);
  for (const double l : {0.01, 0.3, 0.5, 0.51, 0.99}) {
    const ContinuousBernoulli p(torch::full({}, std::log(l / (1 - l)), torch::kDouble), 0);
    expect_close(torch::trapezoid(p.log_prob(x).exp(), x), 1, 1e-8);
  }
}

TEST(ContinuousBernoulli, HasThePapersConstant) {
  // log C of the density C l^x (1 - l)^(1 - x): 2 at a half, and around it ln 2 + (4/3) d^2 + (104/45) d^4 with d = l - 1/2.
  const auto d = values({-0.02, -1e-3, 0, 1e-5, 0.01, 0.02}), l = 0.5 + d;
  const auto log_c = ContinuousBernoulli(l.log() - (1 - l).log(), 0).log_prob(torch::zeros_like(l)) - (1 - l).log();
  expect_close(log_c, std::numbers::ln2 + 4. / 3 * d.square() + 104. / 45 * d.pow(4), 1e-9);
  const auto far = values({0.05, 0.3, 0.7, 0.999});
  const auto c = (2 * (1 - 2 * far).atanh() / (1 - 2 * far)).log();
  expect_close(ContinuousBernoulli(far.log() - (1 - far).log(), 0).log_prob(torch::zeros_like(far)) - (1 - far).log(), c, 1e-12);
}

TEST(ContinuousBernoulli, RsampleInvertsTheDistributionFunction) {
  const auto logits = values({-60, -3, -0.0301, -0.0299, -1e-9, 1e-9, 0.0299, 0.0301, 3, 60});
  const auto u = torch::linspace(0.01, 0.99, 99, torch::kDouble).unsqueeze(-1).expand({-1, 10}).contiguous();
  PreparedNoise noise(u);
  const auto x = ContinuousBernoulli(logits).rsample({99}, noise);
  expect_close(torch::expm1(logits * x) / torch::expm1(logits), u, 1e-11);
  EXPECT_TRUE(((x[50].narrow(0, 2, 5) - x[50].narrow(0, 3, 5)) < 0).all().item<bool>());  // grows with the logit, across 0 too
}

TEST(ContinuousBernoulli, GradientsAreTheSameOnBothSidesOfTheSeries) {
  for (const double l : {-0.5, 0.5, 0.03}) {
    auto below = values({l - 1e-9}).requires_grad_(), above = values({l + 1e-9}).requires_grad_();
    const auto x = values({0.3}), u = values({0.7}, {1, 1});
    expect_close(gradient_of(ContinuousBernoulli(below).log_prob(x), below),
                 gradient_of(ContinuousBernoulli(above).log_prob(x), above), 1e-8);
    PreparedNoise noise(u);
    expect_close(gradient_of(ContinuousBernoulli(below).rsample({1}, noise), below),
                 gradient_of(ContinuousBernoulli(above).rsample({1}, noise), above), 1e-7);
  }
}

TEST(ContinuousBernoulli, NothingIsOutside) {
  const ContinuousBernoulli p(values({0.3}), 0);
  expect_equal(p.log_prob(values({-0.1})), values({-INFINITY}));
  expect_equal(p.log_prob(values({1.1})), values({-INFINITY}));
}

TEST(LogNormal, NothingIsBelowZero) {
  auto location = values({0.3}).requires_grad_();
  const auto log_prob = LogNormal(location, values({0.1}), 0).log_prob(values({0, -1}).unsqueeze(-1));
  EXPECT_TRUE((log_prob == -INFINITY).all().item<bool>());
  expect_finite(gradient_of(log_prob, location));
}

}  // namespace
}  // namespace continuous_distributions
