#include "elbo/distributions/discretized_logistic.h"

#include <gtest/gtest.h>

#include "elbo/base/error.h"
#include "elbo/distributions/mixture.h"
#include "support/gradients.h"

using namespace elbo;

namespace discretized_logistic {
namespace {

Tensor all_levels() { return torch::arange(256, torch::kFloat) / 256; }

TEST(DiscretizedLogistic, TheMassesSumToOneInFloat32WithFiniteGradients) {
  // A small number within the logarithm adds 2.6e-5 here, and the plain difference of sigmoids gives -inf.
  for (const float m : {.002F, .3F, .5F, .998F}) {
    for (const float log_s : {-7.F, -4.5F, -3.F, -1.F, 0.F}) {
      SCOPED_TRACE(testing::Message() << "mean " << m << ", log scale " << log_s);
      auto mean = torch::full({256}, m).requires_grad_(), log_scale = torch::full({256}, log_s).requires_grad_();
      const auto log_mass = DiscretizedLogistic(mean, log_scale, 0).log_prob(all_levels());
      EXPECT_EQ(log_mass.scalar_type(), torch::kFloat);
      expect_finite(log_mass);
      expect_close(log_mass.to(torch::kDouble).exp().sum(), 1, 0, 1e-6);
      expect_finite(gradient_of(log_mass, mean));
      expect_finite(gradient_of(log_mass, log_scale));
      const auto wide = DiscretizedLogistic(mean.detach().to(torch::kDouble), log_scale.detach().to(torch::kDouble), 0)
                            .log_prob(all_levels().to(torch::kDouble));
      expect_close(log_mass, wide, 1e-6, 1e-6);
    }
  }
}

TEST(DiscretizedLogistic, TheFirstAndLastBinAreOpen) {
  const auto mean = values({-3, 4}), log_scale = values({-3, -3});
  expect_close(DiscretizedLogistic(mean, log_scale, 0).log_prob(values({0, 255. / 256})), 0, 0, 1e-12);
}

TEST(DiscretizedLogistic, AStoredPicturesLevelsAreTheSame) {
  const auto mean = torch::full({256}, 0.4F), log_scale = torch::full({256}, -2.F);
  const DiscretizedLogistic p(mean, log_scale, 0);
  expect_equal(p.log_prob(torch::arange(256, torch::kFloat) / 255), p.log_prob(all_levels()));
  expect_equal(p.log_prob((torch::arange(256, torch::kFloat) + 0.99F) / 256), p.log_prob(all_levels()));
}

TEST(DiscretizedLogistic, SamplesHaveTheMassesAsFrequencies) {
  const DiscretizedLogistic p(values({0.9}), values({-2.}));
  Stream stream(1, "discretized_logistic_test", torch::kCPU);
  constexpr int64_t n = 200'000;
  const auto level = (p.sample({n}, stream) * 256).to(torch::kLong).flatten();
  const auto mass = DiscretizedLogistic(torch::full({256}, 0.9, torch::kDouble), torch::full({256}, -2., torch::kDouble), 0)
                        .log_prob(all_levels().to(torch::kDouble))
                        .exp();
  const auto off = torch::bincount(level, {}, 256).to(torch::kDouble) / n - mass;
  EXPECT_TRUE((off.abs() <= 5 * (mass / n).sqrt()).all().item<bool>());
  EXPECT_LT((off.square() / mass).sum().item<double>() * n, 255 + 4 * std::sqrt(2 * 255.));  // chi-squared
}

TEST(DiscretizedLogistic, TheMeanIsTheSumOverTheLevels) {
  const auto means = values({-10, -0.01, 0, 0.0018, 0.002, 0.25, 0.4987, 0.7, 0.998, 1, 1.01, 10}).unsqueeze(1);
  const auto log_scales = values({-12, -7, -6, -5.56, -5.545, -5.53, -5, -3, -1, 0, 4});
  const auto m = means.expand({12, 11}).contiguous(), log_s = log_scales.expand({12, 11}).contiguous();
  const auto level = all_levels().to(torch::kDouble).view({256, 1, 1}).expand({256, 12, 11});
  const auto expected = (DiscretizedLogistic(m, log_s, 2).log_prob_per_element(level).exp() * level).sum(0);
  expect_close(DiscretizedLogistic(m, log_s, 2).mean(), expected, 0, 1e-7);
  expect_close(DiscretizedLogistic(m.to(torch::kFloat), log_s.to(torch::kFloat), 2).mean(), expected, 0, 2e-5);
  expect_gradient_matches([](const std::vector<Tensor>& in) { return DiscretizedLogistic(in[0], in[1]).mean(); },
                          {values({0.3, 0.3, 0.99}), values({-7, -3, -1})}, {.step = 1e-7, .rtol = 1e-5});
}

TEST(DiscretizedLogistic, TheModeMayBeAnOpenBin) {
  const DiscretizedLogistic p(values({0.3, 0.1, 0.3, 0.8}), values({-4, 1, 1, 1}), 0);
  expect_equal(p.mode(), values({76. / 256, 0, 0, 255. / 256}));
}

TEST(DiscretizedLogisticMixture, TheMassesSumToOneInFloat32) {
  const auto logits = torch::tensor({0.3F, -1.F, 0.5F}).expand({256, 3}),
             means = torch::tensor({.002F, .5F, .998F}).expand({256, 3});
  for (const float log_s : {-7.F, -3.F, 0.F}) {
    const DiscretizedLogisticMixture p(logits, means, torch::full({256, 3}, log_s), 0);
    expect_close(p.log_prob(all_levels()).to(torch::kDouble).exp().sum(), 1, 0, 1e-6);
  }
}

TEST(DiscretizedLogisticMixture, OfOneComponentIsThatComponent) {
  const auto means = (wavy({2, 3, 1}) + 1) / 2, log_scales = wavy({2, 3, 1}, 1) - 3, x = (wavy({4, 2, 3}, 2) + 1) / 2;
  const DiscretizedLogistic alone(means.squeeze(-1), log_scales.squeeze(-1));
  const DiscretizedLogisticMixture p(torch::full({2, 3, 1}, 7., torch::kDouble), means, log_scales);
  expect_close(p.log_prob(x), alone.log_prob(x), 1e-13);
  expect_close(p.mean(), alone.mean(), 1e-13);
  expect_close(p.variance(), alone.variance(), 1e-10);
  expect_close(p.mode(), alone.mode(), 1e-13);
}

TEST(DiscretizedLogisticMixture, EachPixelChoosesByItself) {
  // Two sharp components. One choice for the whole event would never mix them.
  const auto logits = torch::zeros({2, 2}, torch::kDouble), means = values({0.1, 0.9, 0.1, 0.9}, {2, 2});
  const auto log_scales = torch::full({2, 2}, -6., torch::kDouble);
  const DiscretizedLogisticMixture p(logits, means, log_scales);
  const auto mixed = values({0.1, 0.9});
  const auto whole =
      MixtureSameFamily(torch::zeros({2}, torch::kDouble), std::make_shared<DiscretizedLogistic>(means.t(), log_scales));
  expect_close(p.log_prob(values({0.1, 0.1})), p.log_prob(mixed), 0.2);
  expect_close(p.log_prob(values({0.1, 0.1})), whole.log_prob(values({0.1, 0.1})).item<double>() - std::log(2.), 1e-3);
  EXPECT_LT(whole.log_prob(mixed).item<double>(), -200);
  Stream stream(1, "discretized_logistic_test", torch::kCPU);
  const auto high = p.sample({10'000}, stream) > 0.5;
  const auto unequal = (high.select(1, 0) != high.select(1, 1)).to(torch::kDouble).mean().item<double>();
  EXPECT_NEAR(unequal, 0.5, 4 * 0.5 / std::sqrt(1e4));
}

TEST(DiscretizedLogisticMixture, ARemovedComponentReachesNeitherValueNorGradient) {
  auto logits = values({0.4, -INFINITY, 0.1}, {1, 3}).requires_grad_(), means = values({0.2, NAN, 0.6}, {1, 3}).requires_grad_();
  const auto log_scales = torch::full({1, 3}, -2., torch::kDouble), x = values({0.3});
  const auto log_prob = DiscretizedLogisticMixture(logits, means, log_scales).log_prob(x);
  const DiscretizedLogisticMixture without(values({0.4, 0.1}, {1, 2}), values({0.2, 0.6}, {1, 2}), log_scales.narrow(1, 0, 2));
  expect_close(log_prob, without.log_prob(x), 1e-14);
  const auto gradient = gradient_of(log_prob, logits);
  expect_finite(gradient);
  EXPECT_EQ(gradient[0][1].item<double>(), 0);
}

TEST(DiscretizedLogisticMixture, RefusesOtherShapes) {
  EXPECT_THROW(DiscretizedLogisticMixture(torch::zeros({2, 3, 4}), torch::zeros({2, 3, 4}), torch::zeros({2, 3})), ShapeError);
  EXPECT_THROW(DiscretizedLogisticMixture(torch::zeros({}), torch::zeros({}), torch::zeros({}), 0), ShapeError);
}

}  // namespace
}  // namespace discretized_logistic
