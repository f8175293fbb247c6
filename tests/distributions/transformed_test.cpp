#include "elbo/distributions/transformed.h"

#include <gtest/gtest.h>

#include "elbo/base/error.h"
#include "elbo/distributions/kl.h"
#include "elbo/distributions/log_normal.h"
#include "support/gradients.h"

using namespace elbo;

namespace transformed_distribution {
namespace {

std::vector<BijectorPtr> bijectors() {
  const auto affine = affine_bijector(values({0.7, -0.3, 0}), values({1, -1, 0.2}));
  return {affine,
          exp_bijector(),
          sigmoid_bijector(),
          softplus_bijector(),
          tanh_bijector(),
          composed_bijector({affine, tanh_bijector(), affine})};
}

TEST(Bijectors, InverseUndoesForward) {
  for (const auto& bijector : bijectors()) {
    SCOPED_TRACE(bijector->name());
    const auto x = wavy({5, 3}) * 2;
    expect_close(bijector->inverse(bijector->forward(x)), x, 1e-10, 1e-10);
  }
}

TEST(Bijectors, TheJacobianIsTheSlope) {
  for (const auto& bijector : bijectors()) {
    SCOPED_TRACE(bijector->name());
    auto x = (wavy({5, 3}) * 2).requires_grad_();
    expect_close(bijector->log_abs_det_jacobian(x).expand({5, 3}), gradient_of(bijector->forward(x), x).abs().log(), 1e-9, 1e-12);
    EXPECT_EQ(bijector->is_affine(), bijector->name() == "affine");
  }
  EXPECT_TRUE(composed_bijector({bijectors()[0], bijectors()[0]})->is_affine());
}

TEST(Bijectors, TheFirstOfTheListComesFirst) {
  const auto doubled = affine_bijector(values({0}), values({std::log(2.)}));
  const auto x = values({0.3});
  expect_close(composed_bijector({doubled, exp_bijector()})->forward(x), std::exp(0.6), 1e-14);
  expect_close(composed_bijector({exp_bijector(), doubled})->forward(x), 2 * std::exp(0.3), 1e-14);
}

TEST(Bijectors, TheEdgesOfTheImageAreFiniteInFloat32) {
  const auto finite = [](const BijectorPtr& bijector, std::vector<float> edges) {
    SCOPED_TRACE(bijector->name());
    const auto y = torch::tensor(edges);
    expect_finite(bijector->inverse(y));
    const auto base = std::make_shared<Normal>(torch::zeros({1}), torch::zeros({1}), 0);
    expect_finite(TransformedDistribution(base, bijector).log_prob(y.unsqueeze(-1)));
    auto x = torch::tensor({-80.F, 80.F}).requires_grad_();
    expect_finite(bijector->log_abs_det_jacobian(x));
    expect_finite(gradient_of(bijector->log_abs_det_jacobian(x), x));
  };
  finite(exp_bijector(), {0, 1e-38F, 1e38F});
  finite(sigmoid_bijector(), {0, 1e-38F, 1});
  finite(softplus_bijector(), {0, 1e-38F, 1e4F});
  finite(tanh_bijector(), {-1, 0, 1});
}

TEST(Transformed, TheExponentialOfANormalIsLogNormal) {
  const auto location = wavy({2, 3}), log_var = wavy({2, 3}, 1), x = wavy({4, 2, 3}, 2).exp();
  const TransformedDistribution p(std::make_shared<Normal>(location, log_var), exp_bijector());
  const LogNormal expected(location, log_var);
  expect_close(p.log_prob(x), expected.log_prob(x), 1e-13);
  expect_close(p.log_prob_per_element(x), expected.log_prob_per_element(x), 1e-13);
  Stream a(1, "transformed_test", torch::kCPU, 0, torch::kDouble), b(1, "transformed_test", torch::kCPU, 0, torch::kDouble);
  expect_close(p.rsample({4, 2}, a), expected.rsample({4, 2}, b), 1e-14);
}

TEST(Transformed, AnAffineImageOfANormalIsNormal) {
  const auto mean = wavy({2, 3}), log_var = wavy({2, 3}, 1), shift = wavy({3}, 2), log_scale = wavy({3}, 3);
  const TransformedDistribution p(std::make_shared<Normal>(mean, log_var), affine_bijector(shift, log_scale));
  const Normal expected(shift + log_scale.exp() * mean, log_var + 2 * log_scale);
  const auto x = wavy({4, 2, 3}, 4);
  expect_close(p.log_prob(x), expected.log_prob(x), 1e-13);
  expect_close(p.mean(), expected.mean(), 1e-13);
  expect_close(p.variance(), expected.variance(), 1e-13);
  expect_close(p.entropy(), expected.entropy(), 1e-13);
}

TEST(Transformed, WhatHasNoClosedFormSaysSo) {
  const TransformedDistribution p(std::make_shared<StandardNormal>(Shape{2}, Shape{3}), tanh_bijector());
  try {
    p.mean();
    ADD_FAILURE() << "gave a mean";
  } catch (const UsageError& error) {
    EXPECT_STREQ(error.what(),
                 "distribution 'transformed' has no closed-form mean under the bijector 'tanh': average over its samples");
  }
  EXPECT_THROW(p.entropy(), UsageError);
  expect_equal(p.mode(), torch::zeros({2, 3}));
}

TEST(Transformed, ASharedBijectorChangesNoDivergence) {
  const auto q = std::make_shared<Normal>(wavy({2, 3}), wavy({2, 3}, 1)),
             p = std::make_shared<Normal>(wavy({2, 3}, 2), wavy({2, 3}, 3));
  const auto bijector = composed_bijector({affine_bijector(values({1}), values({0.5})), tanh_bijector()});
  const TransformedDistribution a(q, bijector), b(p, bijector), other(p, exp_bijector());
  EXPECT_TRUE(has_closed_form_kl(a, b));
  expect_close(kl(a, b), kl(*q, *p), 1e-15);
  expect_close(kl_per_unit(a, b), kl_per_unit(*q, *p), 1e-15);
  EXPECT_FALSE(has_closed_form_kl(a, other));
  EXPECT_THROW(kl(a, other), UsageError);
  EXPECT_FALSE(has_closed_form_kl(a, *p));
  Stream stream(1, "transformed_test", torch::kCPU, 0, torch::kDouble);
  const auto draws = monte_carlo_kl(a, b, a.sample({50'000, 2}, stream));
  EXPECT_TRUE(((draws.mean(0) - kl(a, b)).abs() <= 4 * draws.std(0) / std::sqrt(5e4)).all().item<bool>());
}

}  // namespace
}  // namespace transformed_distribution
