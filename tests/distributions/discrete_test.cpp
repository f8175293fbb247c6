#include <gtest/gtest.h>

#include "elbo/base/error.h"
#include "elbo/distributions/bernoulli.h"
#include "elbo/distributions/categorical.h"
#include "support/gradients.h"

using namespace elbo;

namespace discrete_distributions {
namespace {

TEST(Bernoulli, ProbabilitiesOfAllOutcomesSumToOne) {
  const Bernoulli p(values({-2, 0.3, 5}), 1);
  auto total = torch::zeros({}, torch::kDouble);
  for (int bits = 0; bits < 8; ++bits) {
    total += p.log_prob(values({double(bits & 1), double(bits >> 1 & 1), double(bits >> 2)})).exp();
  }
  expect_close(total, 1, 1e-14);
}

TEST(Bernoulli, QuadruplingTheImageAreaQuadruplesTheReconstruction) {
  const auto logits = wavy({3, 2, 1, 4, 4}), target = (wavy({2, 1, 4, 4}, 1) > 0).to(torch::kDouble);
  const auto small = Bernoulli(logits, 3).log_prob(target);
  const auto large = Bernoulli(logits.repeat({1, 1, 1, 2, 2}), 3).log_prob(target.repeat({1, 1, 2, 2}));
  EXPECT_EQ(small.sizes(), (Shape{3, 2}));
  expect_close(large, 4 * small, 1e-13);
}

TEST(Bernoulli, SamplesHaveItsMeanAndAreAFunctionOfTheStream) {
  const auto logits = values({-2, 0, 1.5});
  Stream stream(5, "discrete_test", torch::kCPU);
  const int64_t n = 100'000;
  const Bernoulli p(logits, 1);
  const auto x = p.sample({n}, stream);
  EXPECT_TRUE(((x == 0) | (x == 1)).all().item<bool>());
  EXPECT_TRUE(((x.mean(0) - p.mean()).abs() < 4 * (p.variance() / n).sqrt()).all().item<bool>());
  Stream same(5, "discrete_test", torch::kCPU);
  expect_equal(p.sample({n}, same), x);
}

TEST(Bernoulli, ModeAndExtremes) {
  const Bernoulli p(torch::tensor({-1e4F, -0.1F, 0.1F, 1e4F}), 1);
  expect_equal(p.mode(), torch::tensor({0.F, 0.F, 1.F, 1.F}));
  expect_close(p.entropy(), 2 * 0.6918982, 1e-6);
}

TEST(Bernoulli, DetachedCutsTheLogits) {
  auto logits = wavy({2, 3}).requires_grad_();
  EXPECT_FALSE(Bernoulli(logits, 1).detached()->log_prob(torch::ones({2, 3}, torch::kDouble)).requires_grad());
}

TEST(Bernoulli, HasNoRsample) {
  const Bernoulli p(torch::zeros({2, 3}), 1);
  Stream stream(5, "discrete_test", torch::kCPU);
  EXPECT_FALSE(p.has_rsample());
  EXPECT_THROW(p.rsample({2}, stream), UsageError);
}

TEST(Categorical, ProbabilitiesOfAllClassesSumToOne) {
  const Categorical p(wavy({2, 5}) * 3, 0);
  auto total = torch::zeros({2}, torch::kDouble);
  for (int64_t v = 0; v < 5; ++v) total += p.log_prob(torch::full({2}, v)).exp();
  expect_close(total, 1, 1e-14);
}

TEST(Categorical, TheClassAxisMayStandBeforeTheEvent) {
  const auto logits = wavy({3, 2, 4, 5, 6});  // [K, B, V, H, W]
  const auto value = torch::arange(2 * 5 * 6).view({2, 5, 6}) % 4;
  const Categorical first(logits, 2, -3), last(logits.movedim(-3, -1), 2);
  EXPECT_EQ(first.batch_shape(), (Shape{3, 2}));
  EXPECT_EQ(first.event_shape(), (Shape{5, 6}));
  EXPECT_EQ(first.log_prob(value).sizes(), (Shape{3, 2}));
  expect_close(first.log_prob(value), last.log_prob(value), 1e-14);
  expect_close(first.entropy(), last.entropy(), 1e-14);
  expect_close(first.mean(), last.mean(), 1e-14);
  expect_equal(first.mode(), last.mode());
  Stream a(5, "discrete_test", torch::kCPU), b(5, "discrete_test", torch::kCPU);
  expect_equal(first.sample({3, 2}, a), last.sample({3, 2}, b));
}

TEST(Categorical, ValuesMayHaveSamplesTheLogitsLack) {
  const Categorical p(wavy({2, 3, 4}), 1);
  const auto value = torch::arange(5 * 2 * 3).view({5, 2, 3}) % 4;
  const auto log_prob = p.log_prob(value);
  ASSERT_EQ(log_prob.sizes(), (Shape{5, 2}));
  expect_close(log_prob[3], p.log_prob(value[3]), 1e-14);
}

TEST(Categorical, GradientMatchesFiniteDifferences) {
  const auto value = torch::arange(2 * 2 * 3).view({2, 2, 3}) % 4;
  expect_gradient_matches([&](const std::vector<Tensor>& in) { return Categorical(in[0], 2, -3).log_prob(value); },
                          {wavy({3, 2, 4, 2, 3}) * 2});
}

TEST(Categorical, AnExcludedClassIsImpossibleAndLeavesTheGradientFinite) {
  auto logits = values({0.5, -INFINITY, 1.5, -0.2}).requires_grad_();
  const Categorical p(logits, 0);
  EXPECT_EQ(p.log_prob(torch::tensor(1)).item<double>(), -INFINITY);
  const auto gradient = gradient_of(p.log_prob(torch::tensor(2)), logits);
  expect_finite(gradient);
  EXPECT_EQ(gradient[1].item<double>(), 0);
  expect_finite(p.entropy());
  expect_finite(gradient_of(p.entropy(), logits));
}

TEST(Categorical, SamplesHaveItsFrequencies) {
  const Categorical p(values({0.5, -INFINITY, 1.5, -0.2}), 0);
  Stream stream(5, "discrete_test", torch::kCPU);
  const int64_t n = 100'000;
  const auto x = p.sample({n}, stream);
  ASSERT_EQ(x.scalar_type(), torch::kLong);
  const auto expected = p.log_probabilities().exp();
  const auto frequency = torch::bincount(x, {}, 4).to(torch::kDouble) / n;
  EXPECT_EQ(frequency[1].item<double>(), 0);
  EXPECT_TRUE(((frequency - expected).abs() <= 4 * (expected * (1 - expected) / n).sqrt()).all().item<bool>());
  expect_close(x.to(torch::kDouble).mean(), p.mean().item<double>(), 0.01);
  expect_close(x.to(torch::kDouble).var(), p.variance().item<double>(), 0.01);
}

TEST(PickClass, NeverPicksAClassOfProbabilityZero) {
  // Both ends of u: the first class has none, the last two have none.
  const auto probabilities = torch::tensor({0.F, 0.3F, 0.F, 0.7F, 0.F, 0.F});
  const auto u = torch::tensor({0.F, 0.29F, 0.31F, 1 - 0x1p-24F});
  expect_equal(elbo::detail::pick_class(probabilities, u), torch::tensor({1, 1, 3, 3}));
}

TEST(PickClass, ReachesEveryClassWhateverTheSumIs) {
  const auto u = torch::tensor({0.F, 0.49F, 0.51F, 1 - 0x1p-24F});
  for (const float half : {0.25F, 0.49999997F, 0.50000006F}) {
    expect_equal(elbo::detail::pick_class(torch::tensor({half, half}), u), torch::tensor({0, 0, 1, 1}));
  }
}

TEST(PickClass, StaysInRangeWhereRoundingReachesTheWholeSum) {
  expect_equal(elbo::detail::pick_class(values({0.5, 0.5 + 0x1p-47}), values({1 - 0x1p-53})), torch::tensor({1}));
  expect_equal(elbo::detail::pick_class(values({NAN, NAN}), values({0.5})), torch::tensor({0}));  // a step that is skipped later
}

TEST(Categorical, RefusesAClassAxisOutsideTheEvent) {
  EXPECT_THROW(Categorical(torch::zeros({2, 3, 4}), 1, -3), ShapeError);
  EXPECT_THROW(Categorical(torch::zeros({2, 3, 4}), 1, 1), ShapeError);
}

}  // namespace
}  // namespace discrete_distributions
