#include "elbo/distributions/stratified_mixture.h"

#include "elbo/base/error.h"
#include "elbo/distributions/kl.h"
#include "elbo/distributions/mixture.h"
#include "elbo/distributions/normal.h"
#include "support/gradients.h"
#include "support/tensors.h"

namespace elbo::stratified_mixture_test {

constexpr int64_t kS = 3, kB = 4, kD = 2;

Tensor log_weight() { return wavy({kS, kB}, 0.4); }
std::shared_ptr<StratifiedMixture> example(const Tensor& weight = log_weight()) {
  return std::make_shared<StratifiedMixture>(std::make_shared<Normal>(wavy({kS, kB, kD}), wavy({kS, kB, kD}, 1)), weight);
}

TEST(StratifiedMixture, HasTheDensityAndMomentsOfAMixture) {
  const auto q = example();
  const MixtureSameFamily same(
      log_weight().t(), std::make_shared<Normal>(wavy({kS, kB, kD}).transpose(0, 1), wavy({kS, kB, kD}, 1).transpose(0, 1)));
  for (const auto& shape : {Shape{kB, kD}, Shape{5, kB, kD}, Shape{kS, 5, kB, kD}}) {
    expect_close(q->log_prob(wavy(shape, 3)), same.log_prob(wavy(shape, 3)), 1e-12);
  }
  expect_close(q->mean(), same.mean(), 1e-12);
  expect_close(q->variance(), same.variance(), 1e-12);
  expect_close(q->mode(), same.mode(), 1e-12);
}

TEST(StratifiedMixture, DrawsFromEveryComponent) {
  const auto q = example();
  Stream noise(3, "test", at::kCPU, 0, torch::kDouble);
  const auto z = q->rsample_stratified(20000, noise);
  ASSERT_EQ(z.sizes(), Shape({kS, 20000, kB, kD}));
  const auto& each = *q->components();
  expect_close(z.mean(1), each.mean(), 0, 0.06);
  expect_close(z.var(1), each.variance(), 0.06);
}

/// Sources that key numbers by their place count samples in the extent before the rows: a longer draw starts with the shorter.
TEST(StratifiedMixture, AsksForNoiseWithStrataFirst) {
  struct Recorder final : Noise {
    Tensor normal(at::IntArrayRef leading, at::IntArrayRef event) override {
      asked.push_back(leading.vec());
      return torch::zeros(joined(leading, event), torch::kDouble);
    }
    Tensor uniform(at::IntArrayRef leading, at::IntArrayRef event) override { return normal(leading, event) + 0.5; }
    std::vector<Shape> asked = {};
  } noise;
  const auto z = example()->rsample_stratified(5, noise);
  ASSERT_EQ(noise.asked.size(), 1U);
  EXPECT_EQ(noise.asked[0], Shape({kS, 5, kB}));
  expect_equal(z.select(1, 0), example()->components()->mean());
}

TEST(StratifiedMixture, AncestralDrawsHaveTheMixturesMoments) {
  const auto q = example();
  Stream noise(4, "test", at::kCPU, 0, torch::kDouble);
  const auto z = q->sample({40000, kB}, noise);
  expect_close(z.mean(0), q->mean(), 0, 0.05);
  expect_close(z.var(0), q->variance(), 0.05);
}

TEST(StratifiedMixture, ADrawOfOneComponentARowCarriesItsGradient) {
  auto mean = wavy({kS, kB, kD}).set_requires_grad(true), log_var = wavy({kS, kB, kD}, 1).set_requires_grad(true);
  auto weight = log_weight();
  weight[1].fill_(-INFINITY);
  weight[2][0] = -INFINITY;
  const auto strata = std::make_shared<StratifiedMixture>(std::make_shared<Normal>(mean, log_var), weight);
  const AncestralMixture q(strata);
  Stream once(5, "test", at::kCPU, 0, torch::kDouble), again(5, "test", at::kCPU, 0, torch::kDouble);
  const auto z = q.rsample({200, kB}, once);
  expect_equal(z.detach(), strata->sample({200, kB}, again));
  z.sum().backward();
  // A sample moves one component's mean by one: as many as were drawn, of each as often as it weighs.
  expect_close(mean.grad().sum(0), torch::full({kB, kD}, 200.0, torch::kDouble), 1e-12);
  expect_close(mean.grad().select(2, 0) / 200, weight.softmax(0), 0, 0.12);
  expect_equal(mean.grad()[1], torch::zeros({kB, kD}, torch::kDouble));
  EXPECT_GT(log_var.grad()[0].abs().min().item<double>(), 0);
  const StandardNormal p({kB}, {kD}, torch::kDouble);
  EXPECT_TRUE(has_closed_form_kl(q, p));
  expect_equal(kl(q, p), kl(*strata, p));
  expect_equal(kl_per_unit(q, p), kl_per_unit(*strata, p));
  expect_equal(q.log_prob(z), strata->log_prob(z));
  EXPECT_FALSE(q.detached()->mean().requires_grad());
}

TEST(StratifiedMixture, KlIsTheWeightedSumOfTheComponents) {
  const auto q = example();
  const StandardNormal p({kB}, {kD}, torch::kDouble);
  const auto weight = log_weight().softmax(0);
  auto expected = torch::zeros({kB}, torch::kDouble);
  for (int64_t s = 0; s < kS; ++s) expected += weight[s] * kl(Normal(wavy({kS, kB, kD})[s], wavy({kS, kB, kD}, 1)[s]), p);
  EXPECT_TRUE(has_closed_form_kl(*q, p));
  expect_close(kl(*q, p), expected, 1e-12);
  expect_close(kl_per_unit(*q, p).sum(-1), expected, 1e-12);
  Stream noise(5, "test", at::kCPU, 0, torch::kDouble);
  const auto z = q->rsample_stratified(20000, noise);
  const auto true_kl = q->average(monte_carlo_kl(*q, p, z).mean(1));
  EXPECT_TRUE((true_kl < kl(*q, p)).all().item<bool>()) << "convexity";
}

TEST(StratifiedMixture, AnUnavailableComponentReachesNothing) {
  auto mean = wavy({kS, kB, kD}).clone();
  mean[1].fill_(1e200);
  mean.requires_grad_();
  auto weight = log_weight().clone();
  weight[1].fill_(-INFINITY);
  const StratifiedMixture q(std::make_shared<Normal>(mean, wavy({kS, kB, kD}, 1)), weight);
  const StandardNormal p({kB}, {kD}, torch::kDouble);
  const auto total = q.log_prob(wavy({kB, kD}, 2)).sum() + q.mean().sum() + kl(q, p).sum();
  expect_finite(total);
  total.backward();
  expect_equal(mean.grad()[1], torch::zeros({kB, kD}, torch::kDouble));
  expect_finite(mean.grad());
  expect_close(q.log_weight().exp().sum(0), 1.0, 1e-12);
}

TEST(StratifiedMixture, DetachedCutsOffMeansVariancesAndWeights) {
  const auto mean = wavy({kS, kB, kD}).requires_grad_(), log_var = wavy({kS, kB, kD}, 1).requires_grad_();
  const auto weight = log_weight().requires_grad_();
  const StratifiedMixture q(std::make_shared<Normal>(mean, log_var), weight);
  EXPECT_FALSE(q.detached()->log_prob(wavy({kB, kD})).requires_grad());
  expect_close(q.detached()->log_prob(wavy({kB, kD})), q.log_prob(wavy({kB, kD})), 1e-14);
}

TEST(StratifiedMixture, SaysWhatShapesItTakes) {
  EXPECT_THROW(StratifiedMixture(std::make_shared<Normal>(wavy({kB, kD}), wavy({kB, kD})), log_weight()), ShapeError);
  EXPECT_THROW(example(wavy({kS, kB + 1})), ShapeError);
}

}  // namespace elbo::stratified_mixture_test
