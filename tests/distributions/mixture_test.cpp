#include "elbo/distributions/mixture.h"

#include <gtest/gtest.h>

#include "elbo/base/error.h"
#include "elbo/distributions/bernoulli.h"
#include "elbo/distributions/normal.h"
#include "support/gradients.h"

using namespace elbo;

namespace mixture_distribution {
namespace {

std::shared_ptr<MixtureSameFamily> mixture(const Tensor& logits, const Tensor& means, const Tensor& log_vars,
                                           std::optional<Shape> batch = std::nullopt) {
  return std::make_shared<MixtureSameFamily>(logits, std::make_shared<Normal>(means, log_vars), std::move(batch));
}

TEST(Mixture, IsNormalised) {
  const auto p = mixture(values({0.2, -1, 0.7}), values({-2, 0, 3}, {3, 1}), values({0, -1, 1}, {3, 1}));
  const auto x = torch::linspace(-25, 25, 50'001, torch::kDouble).view({-1, 1});
  EXPECT_NEAR(p->log_prob(x).exp().sum().item<double>() * 1e-3, 1, 1e-9);
}

TEST(Mixture, OfOneComponentIsThatComponent) {
  const auto means = wavy({2, 1, 3}), log_vars = wavy({2, 1, 3}, 1), z = wavy({4, 2, 3}, 2);
  const auto p = mixture(values({0.7, -3}, {2, 1}), means, log_vars);
  const Normal alone(means.squeeze(1), log_vars.squeeze(1));
  expect_close(p->log_prob(z), alone.log_prob(z), 1e-14);
  expect_close(p->mean(), alone.mean(), 1e-14);
  expect_close(p->variance(), alone.variance(), 1e-14);
}

TEST(Mixture, GradientMatchesFiniteDifferences) {
  expect_gradient_matches([](const std::vector<Tensor>& in) { return mixture(in[0], in[1], in[2])->log_prob(in[3]); },
                          {wavy({2, 3}), wavy({2, 3, 2}, 1), wavy({2, 3, 2}, 2), wavy({4, 2, 2}, 3)});
}

TEST(Mixture, ADeclaredBatchEqualsTheRepeatedOne) {
  const auto logits = wavy({3}), means = wavy({3, 2}, 1), log_vars = wavy({3, 2}, 2), z = wavy({4, 5, 2}, 3);
  const auto declared = mixture(logits, means, log_vars, Shape{5});
  const auto repeated = mixture(logits.expand({5, 3}), means.expand({5, 3, 2}), log_vars.expand({5, 3, 2}));
  EXPECT_EQ(declared->batch_shape(), (Shape{5}));
  expect_close(declared->log_prob(z), repeated->log_prob(z), 1e-14);
  expect_close(declared->mean(), repeated->mean(), 1e-14);
  expect_close(declared->variance(), repeated->variance(), 1e-14);
  expect_close(declared->mode(), repeated->mode(), 1e-14);
  Stream a(1, "mixture_test", torch::kCPU), b(1, "mixture_test", torch::kCPU);
  expect_equal(declared->sample({4, 5}, a), repeated->sample({4, 5}, b));
  EXPECT_EQ(declared->detached()->batch_shape(), (Shape{5}));
}

TEST(Mixture, ARemovedComponentReachesNeitherValueNorGradient) {
  // Its density is NaN: only a where keeps it out.
  auto logits = values({0.3, -INFINITY, -0.4}).requires_grad_();
  auto means = values({-1, NAN, 2}, {3, 1}).requires_grad_(), log_vars = values({0, 0, 0.5}, {3, 1}).requires_grad_();
  const auto z = values({0.2, 1}, {2, 1});
  const auto log_prob = mixture(logits, means, log_vars)->log_prob(z);
  const auto without = mixture(values({0.3, -0.4}), values({-1, 2}, {2, 1}), values({0, 0.5}, {2, 1}))->log_prob(z);
  expect_close(log_prob, without, 1e-14);
  expect_finite(gradient_of(log_prob, logits));
  EXPECT_EQ(gradient_of(log_prob, logits)[1].item<double>(), 0);
  const auto p = mixture(logits.detach(), values({-1, INFINITY, 2}, {3, 1}), log_vars.detach());
  expect_finite(p->mean());
  expect_finite(p->variance());
}

TEST(Mixture, FarAwayValuesKeepTheirGradient) {
  auto z = torch::full({1, 1}, 200.F).requires_grad_();
  const auto p = mixture(torch::zeros({2}), torch::tensor({{-1.F}, {1.F}}), torch::zeros({2, 1}), Shape{1});
  const auto log_prob = p->log_prob(z);
  expect_finite(log_prob);
  expect_close(gradient_of(log_prob, z), -199, 1e-6);
}

TEST(Mixture, SamplesHaveItsMomentsAndWeights) {
  const auto p = mixture(values({0, std::log(3.0), -INFINITY}), values({-10, 10, 50}, {3, 1}), values({0, 1, 0}, {3, 1}));
  Stream stream(9, "mixture_test", torch::kCPU, 0, torch::kDouble);
  const int64_t n = 100'000;
  const auto x = p->sample({n}, stream);
  ASSERT_EQ(x.sizes(), (Shape{n, 1}));
  EXPECT_LT(x.max().item<double>(), 30);
  const auto variance = p->variance().item<double>();
  EXPECT_NEAR(variance, 0.25 * 1 + 0.75 * std::exp(1.0) + 0.25 * 0.75 * 400, 1e-9);
  EXPECT_NEAR(x.mean().item<double>(), 5, 4 * std::sqrt(variance / n));
  EXPECT_NEAR((x > 0).to(torch::kDouble).mean().item<double>(), 0.75, 4 * std::sqrt(0.75 * 0.25 / n));
}

TEST(Mixture, ModeIsTheLikeliestComponents) {
  const auto p = mixture(values({0, 1, 0.5, 2, 0, 0}, {2, 3}), wavy({2, 3, 2}), wavy({2, 3, 2}, 1));
  const auto means = wavy({2, 3, 2});
  expect_equal(p->mode(), torch::stack({means[0][1], means[1][0]}));
}

TEST(Mixture, OfImages) {
  const auto logits = wavy({2, 3, 1, 4, 4}) * 2;  // [B, S, C, H, W]
  const MixtureSameFamily p(wavy({2, 3}, 1), std::make_shared<Bernoulli>(logits, 3));
  Stream stream(9, "mixture_test", torch::kCPU);
  const auto x = p.sample({5, 2}, stream);
  ASSERT_EQ(x.sizes(), (Shape{5, 2, 1, 4, 4}));
  const auto by_hand = torch::logsumexp(p.log_weights() + Bernoulli(logits, 3).log_prob(x.unsqueeze(2)), -1);
  expect_close(p.log_prob(x), by_hand, 1e-12);
}

/// Records the extents it is asked for.
class Witness final : public Noise {
 public:
  Tensor normal(at::IntArrayRef leading, at::IntArrayRef event) override { return note(leading, event); }
  Tensor uniform(at::IntArrayRef leading, at::IntArrayRef event) override { return note(leading, event); }
  std::vector<Shape> leadings = {};

 private:
  Tensor note(at::IntArrayRef leading, at::IntArrayRef event) {
    leadings.push_back(leading.vec());
    return torch::zeros(joined(leading, event));
  }
};

TEST(Mixture, AsksForNoiseByTheSamplesPlacesNotByTheComponents) {
  Witness noise;
  mixture(torch::zeros({3}), torch::zeros({3, 2}), torch::zeros({3, 2}), Shape{5})->sample({4, 5}, noise);
  EXPECT_EQ(noise.leadings, (std::vector<Shape>{{4, 5}, {4, 5}}));
}

TEST(Mixture, DetachedCutsAllParameters) {
  auto logits = wavy({3}).requires_grad_(), means = wavy({3, 2}).requires_grad_(), z = wavy({4, 2}, 1).requires_grad_();
  const auto log_prob = mixture(logits, means, wavy({3, 2}))->detached()->log_prob(z);
  EXPECT_FALSE(gradient_of(log_prob, logits).defined());
  EXPECT_FALSE(gradient_of(log_prob, means).defined());
  EXPECT_TRUE(gradient_of(log_prob, z).defined());
}

TEST(Mixture, RefusesComponentsThatDoNotMatch) {
  EXPECT_THROW(mixture(torch::zeros({2}), torch::zeros({3, 2}), torch::zeros({3, 2})), ShapeError);
  EXPECT_THROW(mixture(torch::zeros({}), torch::zeros({2}), torch::zeros({2})), ShapeError);
}

}  // namespace
}  // namespace mixture_distribution
