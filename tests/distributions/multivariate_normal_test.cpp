#include "elbo/distributions/multivariate_normal.h"

#include <gtest/gtest.h>

#include "elbo/base/error.h"
#include "elbo/distributions/kl.h"
#include "elbo/distributions/normal.h"
#include "support/gradients.h"

using namespace elbo;

namespace multivariate_normal {
namespace {

Tensor factor(at::IntArrayRef batch = {}, int64_t D = 3) {
  return (wavy(joined(batch, {D, D}), 1) / 2).tril() + 1.3 * torch::eye(D, torch::kDouble);
}

TEST(MultivariateNormal, IntegratesToOne) {
  const MultivariateNormal p(values({0.3, -0.5}), factor({}, 2));
  const auto line = torch::linspace(-15, 15, 1501, torch::kDouble);
  const auto grid = torch::cartesian_prod({line, line});
  expect_close(p.log_prob(grid).exp().sum() * std::pow(30. / 1500, 2), 1, 1e-9);
}

TEST(MultivariateNormal, OfADiagonalIsTheNormal) {
  const auto mean = wavy({2, 3}), log_var = wavy({2, 3}, 1), x = wavy({4, 2, 3}, 2);
  const Normal independent(mean, log_var);
  const MultivariateNormal p(mean, torch::diag_embed((0.5 * log_var).exp()));
  expect_close(p.log_prob(x), independent.log_prob(x), 1e-13);
  expect_close(p.entropy(), independent.entropy(), 1e-13);
  expect_close(p.variance(), independent.variance(), 1e-13);
  Stream a(1, "multivariate_test", torch::kCPU, 0, torch::kDouble), b(1, "multivariate_test", torch::kCPU, 0, torch::kDouble);
  expect_close(p.rsample({4, 2}, a), independent.rsample({4, 2}, b), 1e-13);
}

TEST(MultivariateNormal, SamplesHaveItsCovariance) {
  const MultivariateNormal p(values({1, 2, 3}), factor());
  Stream stream(1, "multivariate_test", torch::kCPU, 0, torch::kDouble);
  constexpr int64_t n = 100'000;
  const auto x = p.sample({n}, stream);
  const auto centred = x - p.mean();
  const auto variance = p.covariance().diag();
  const auto error = ((variance.unsqueeze(0) * variance.unsqueeze(1) + p.covariance().square()) / n).sqrt();
  EXPECT_TRUE(((centred.t().matmul(centred) / n - p.covariance()).abs() < 4 * error).all().item<bool>());
  stream.rekey(0);
  expect_close(p.whitened(x), stream.normal({n}, {3}), 1e-9, 1e-12);
}

TEST(MultivariateNormal, OneFactorForAllEqualsItsRepetition) {
  const auto mean = wavy({5, 2, 3}), x = wavy({4, 5, 2, 3}, 2), L = factor();
  const MultivariateNormal shared(mean, L), repeated(mean, L.expand({5, 2, 3, 3}));
  expect_close(shared.log_prob(x), repeated.log_prob(x), 1e-13);
  expect_close(shared.entropy(), repeated.entropy(), 1e-13);
  expect_close(shared.variance(), repeated.variance(), 1e-13);
  expect_close(kl(shared, repeated), 0, 0, 1e-14);
  EXPECT_EQ(kl(shared, StandardNormal({2}, {3}, torch::kDouble)).sizes(), (Shape{5, 2}));
}

TEST(MultivariateNormal, WhatIsAboveTheDiagonalCountsNothing) {
  const auto mean = wavy({3}), x = wavy({4, 3}, 2);
  auto L = factor().requires_grad_();
  const auto dirty = L + torch::ones({3, 3}, torch::kDouble).triu(1);
  expect_close(MultivariateNormal(mean, dirty).log_prob(x), MultivariateNormal(mean, L).log_prob(x), 1e-14);
  expect_close(gradient_of(MultivariateNormal(mean, L).log_prob(x), L).triu(1), 0, 0, 1e-15);
}

TEST(MultivariateNormal, ExtremesStayFiniteInFloat32) {
  auto L = torch::diag(torch::tensor({1e-6F, 1e6F})).requires_grad_();
  const MultivariateNormal p(torch::zeros({2}), L);
  const auto log_prob = p.log_prob(torch::tensor({100.F, -100.F}));
  expect_finite(log_prob);
  expect_finite(gradient_of(log_prob, L));
  expect_finite(kl(p, StandardNormal({}, {2})));
}

TEST(MultivariateNormal, RefusesAFactorOfAnotherSize) {
  try {
    MultivariateNormal(torch::zeros({2, 3}), torch::zeros({2, 4, 4}));
    ADD_FAILURE() << "took it";
  } catch (const ShapeError& error) {
    EXPECT_STREQ(error.what(), "multivariate_normal: scale_tril: got [2, 4, 4], expected [2, 3, 3]");
  }
}

}  // namespace
}  // namespace multivariate_normal
