#include <gtest/gtest.h>

#include "elbo/base/error.h"
#include "elbo/distributions/negative_binomial.h"
#include "elbo/distributions/one_hot_categorical.h"
#include "elbo/distributions/poisson.h"
#include "support/gradients.h"

using namespace elbo;

namespace count_distributions {
namespace {

class GivenUniform final : public Noise {
 public:
  explicit GivenUniform(Tensor numbers) : numbers_(std::move(numbers)) {}
  Tensor normal(at::IntArrayRef, at::IntArrayRef) override { throw UsageError("no normal numbers here"); }
  Tensor uniform(at::IntArrayRef leading, at::IntArrayRef event) override { return numbers_.view(joined(leading, event)); }

 private:
  Tensor numbers_;
};

TEST(Poisson, ADrawIsTheQuantileOfItsUniformNumber) {
  const auto u = (torch::arange(999, torch::kDouble) + 0.5) / 999;
  for (const double rate : {0.01, 1., 30., 1000.}) {
    const Poisson p(torch::full({1}, std::log(rate), torch::kDouble));
    GivenUniform noise(u);
    const auto drawn = p.sample({999}, noise).flatten();
    const auto below = p.log_prob(torch::arange(2000, torch::kDouble).unsqueeze(-1)).exp().cumsum(0);  // P(X <= k)
    const auto expected = (below.unsqueeze(0) <= u.unsqueeze(1)).sum(1).to(torch::kDouble);
    expect_equal(drawn, expected);
  }
}

TEST(Poisson, LargeRatesKeepTheirAccuracyInFloat32) {
  const Poisson p(torch::full({1}, std::log(1e6F)));
  expect_close(p.log_prob(torch::full({1}, 1e6F)), -0.5 * std::log(2 * M_PI * 1e6), 1e-5);
  Stream stream(1, "counts_test", torch::kCPU);
  const auto x = p.sample({20'000}, stream).to(torch::kDouble);
  expect_close(x.mean(), 1e6, 0, 4 * 1e3 / std::sqrt(2e4));
  expect_close(x.std(), 1e3, 0.02);
}

TEST(Poisson, TheEndsOfTheUniformNumbersAreDrawn) {
  GivenUniform noise(values({0, 1 - 0x1p-53}, {2, 1}));
  const auto x = Poisson(values({std::log(5.)})).sample({2}, noise);
  EXPECT_EQ(x[0].item<double>(), 0);
  EXPECT_GT(x[1].item<double>(), 30);
  EXPECT_LT(x[1].item<double>(), 50);
}

TEST(NegativeBinomial, ByItsMeanAndInverseDispersion) {
  const auto log_mean = wavy({2, 3}) * 2, log_count = wavy({2, 3}, 1);
  const auto p = NegativeBinomial::with_mean(log_mean, log_count);
  const auto mean = log_mean.exp();
  expect_close(p->mean(), mean, 1e-13);
  expect_close(p->variance(), mean + mean.square() * (-log_count).exp(), 1e-13);
}

TEST(NegativeBinomial, OfAnEndlessCountIsPoisson) {
  const auto log_mean = values({1.5}), x = torch::arange(20, torch::kDouble).unsqueeze(-1);
  expect_close(NegativeBinomial::with_mean(log_mean, values({std::log(1e12)}))->log_prob(x), Poisson(log_mean).log_prob(x), 1e-9);
  const auto r = values({100 - 1e-9, 100});  // both sides of the series
  const auto log_prob = NegativeBinomial(r, torch::zeros_like(r), 0).log_prob(torch::full({}, 50., torch::kDouble));
  expect_close(log_prob[0], log_prob[1].item<double>(), 1e-8);
}

TEST(NegativeBinomial, SamplesHaveTheMassesAsFrequencies) {
  constexpr int64_t n = 50'000, most = 40;
  for (const double count : {0.01, 0.3, 8.}) {
    const NegativeBinomial p(values({count}), values({0.4}));
    Stream stream(2, "counts_test", torch::kCPU);
    const auto x = p.sample({n}, stream).flatten().clamp_max(most).to(torch::kLong);
    const auto mass = p.log_prob(torch::arange(most, torch::kDouble).unsqueeze(-1)).exp();
    const auto off = (torch::bincount(x, {}, most + 1).narrow(0, 0, most).to(torch::kDouble) / n - mass).abs();
    EXPECT_TRUE((off <= 4.5 * (mass * (1 - mass) / n).sqrt() + 1e-4).all().item<bool>()) << count;
  }
}

TEST(OneHotCategorical, SamplesAndModesAreOneHotWithItsFrequencies) {
  const auto logits = values({0.5, -INFINITY, 1.5, -0.2});
  const OneHotCategorical p(logits);
  Stream stream(5, "counts_test", torch::kCPU);
  constexpr int64_t n = 100'000;
  const auto x = p.sample({n}, stream);
  ASSERT_EQ(x.scalar_type(), torch::kDouble);
  EXPECT_TRUE((x.sum(-1) == 1).all().item<bool>());
  EXPECT_TRUE(((x == 0) | (x == 1)).all().item<bool>());
  const auto expected = logits.softmax(0);
  EXPECT_TRUE(((x.mean(0) - expected).abs() <= 4 * (expected * (1 - expected) / n).sqrt()).all().item<bool>());
  expect_equal(p.mode(), values({0, 0, 1, 0}));
}

TEST(OneHotCategorical, AnExcludedClassIsImpossibleAndLeavesTheGradientFinite) {
  auto logits = values({0.5, -INFINITY, 1.5}).requires_grad_();
  const OneHotCategorical p(logits);
  EXPECT_EQ(p.log_prob(values({0, 1, 0})).item<double>(), -INFINITY);
  expect_close((p.log_prob(values({1, 0, 0})).exp() + p.log_prob(values({0, 0, 1})).exp()), 1, 1e-14);
  expect_finite(gradient_of(p.log_prob(values({0, 0, 1})), logits));
  expect_finite(gradient_of(p.entropy(), logits));
  EXPECT_THROW(OneHotCategorical(torch::zeros({2, 3}), 0), ShapeError);
}

}  // namespace
}  // namespace count_distributions
