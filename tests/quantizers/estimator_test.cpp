#include "elbo/quantizers/estimator.h"

#include <cmath>

#include "support/gradients.h"

namespace elbo::estimator_test {

constexpr auto kRotation = GradientEstimator::rotation;

Tensor gradient(const Tensor& e, const Tensor& q, const Tensor& g, GradientEstimator estimator = kRotation) {
  const auto leaf = e.detach().clone().set_requires_grad(true);
  return torch::autograd::grad({(g * pass_gradient(leaf, q, estimator)).sum()}, {leaf})[0];
}

/// [D, D] of one token as the gradient has it, divided by lambda: column d answers the unit vector of output d.
Tensor rotation_matrix(const Tensor& e, const Tensor& q) {
  const auto D = e.size(0);
  const auto transposed = gradient(e.expand({D, D}), q.expand({D, D}), torch::eye(D, torch::kDouble));
  return transposed / (q.norm() / e.norm());  // row d is R^T applied to unit d: that is R's row d
}

TEST(Estimator, TheValueIsTheCodeBitForBit) {
  const auto z = (wavy({50, 8}) * 1e3).to(torch::kFloat).set_requires_grad(true);
  const auto code = wavy({50, 8}, 0.3).to(torch::kFloat);
  for (const auto estimator : {GradientEstimator::straight_through, kRotation, GradientEstimator::none}) {
    expect_equal(pass_gradient(z, code, estimator), code);
  }
}

TEST(Estimator, StraightThroughIsTheUpstreamGradientInTheTypeOfTheToken) {
  const auto g = wavy({5, 3}, 0.9);
  expect_equal(gradient(wavy({5, 3}), wavy({5, 3}, 0.4), g, GradientEstimator::straight_through), g);
  const auto z = wavy({5, 3}).to(torch::kBFloat16).set_requires_grad(true);
  for (const auto estimator : {GradientEstimator::straight_through, kRotation}) {
    const auto value = pass_gradient(z, wavy({5, 3}, 0.4).to(torch::kFloat), estimator);
    EXPECT_EQ(value.scalar_type(), torch::kFloat);
    EXPECT_EQ(torch::autograd::grad({value.sum()}, {z})[0].scalar_type(), torch::kBFloat16);
  }
}

TEST(Estimator, NoneStopsTheGradientAndNoneReachesACode) {
  const auto z = wavy({5, 3}).set_requires_grad(true);
  const auto code = wavy({5, 3}, 0.4).set_requires_grad(true);
  EXPECT_FALSE(pass_gradient(z, code, GradientEstimator::none).requires_grad());
  for (const auto estimator : {GradientEstimator::straight_through, kRotation}) {
    EXPECT_FALSE(gradient_of(pass_gradient(z, code, estimator), code).defined());
  }
}

TEST(Estimator, RotationTurnsTheTokenOntoItsCode) {
  for (int64_t D = 2; D <= 8; ++D) {
    const auto e = wavy({D}, 0.1 * static_cast<double>(D)), q = wavy({D}, 2.3) * 1.7;
    const auto R = rotation_matrix(e, q);
    expect_close(torch::mv(R, e / e.norm()), q / q.norm(), 1e-12, 1e-13);
    expect_close(torch::mm(R.t(), R), torch::eye(D, torch::kDouble), 1e-12, 1e-13);
    EXPECT_NEAR(torch::linalg_det(R).item<double>(), 1, 1e-12) << D;
  }
}

TEST(Estimator, RotationInNumbers) {
  const auto e = values({1, 0}, {1, 2}), q = values({0, 2}, {1, 2});
  expect_close(gradient(e, q, values({0, 1}, {1, 2})), values({2, 0}, {1, 2}), 0, 1e-15);
  expect_close(gradient(e, q, values({1, 0}, {1, 2})), values({0, -2}, {1, 2}), 0, 1e-15);
}

TEST(Estimator, ACodeInTheTokensDirectionOnlyScales) {
  const auto e = wavy({1, 5}), g = wavy({1, 5}, 0.8);
  expect_close(gradient(e, 3 * e, g), 3 * g, 1e-12, 1e-14);
  expect_close(gradient(e, e, g), g, 1e-12, 1e-14);
}

TEST(Estimator, AGradientOffTheirPlaneOnlyScales) {
  const auto e = values({3, 1, 0, 0}, {1, 4}), q = values({-1, 2, 0, 0}, {1, 4}), g = values({0, 0, 5, -2}, {1, 4});
  expect_close(gradient(e, q, g), g * std::sqrt(5.0 / 10), 1e-12, 1e-14);
}

TEST(Estimator, TheAngleToTheCodeBecomesTheAngleToTheToken) {
  const auto e = wavy({40, 6}), q = wavy({40, 6}, 0.7) * 2.5, g = wavy({40, 6}, 1.9);
  const auto received = gradient(e, q, g);
  const auto cosine = [](const Tensor& a, const Tensor& b) { return (a * b).sum(1) / (a.norm(2, 1) * b.norm(2, 1)); };
  expect_close(cosine(received, e), cosine(g, q), 1e-10, 1e-12);
  expect_close(received.norm(2, 1), q.norm(2, 1) / e.norm(2, 1) * g.norm(2, 1), 1e-12);
}

// The value is constant in the token: a differentiable rotation would pass this, the detached one must not.
TEST(Estimator, FiniteDifferencesDoNotMatch) {
  const auto e = wavy({1, 4}), q = wavy({1, 4}, 0.7);
  const auto moved = pass_gradient(e + 1e-3, q, kRotation) - pass_gradient(e, q, kRotation);
  expect_equal(moved, torch::zeros_like(moved));
  EXPECT_GT(gradient(e, q, torch::ones_like(e)).abs().max().item<double>(), 0.1);
}

TEST(Estimator, OppositeAndVanishingTokensStayFinite) {
  const auto e = values({1, 2, 2}, {1, 3}), g = values({1, 0, 0}, {1, 3});
  const auto unit = e / 3;
  expect_close(gradient(e, -e, g), g - 2 * unit * (unit * g).sum(), 1e-9, 1e-12);  // the mirror image
  const auto tiny = e * 1e-9;
  EXPECT_LE(gradient(tiny, e, g).norm().item<double>(), 1000 * (1 + 1e-9));
  EXPECT_GT(gradient(e * 1e-5, e, g).norm().item<double>(), 999);
  expect_finite(gradient(torch::zeros({1, 3}, torch::kDouble), e, g));
  expect_close(gradient(e, torch::zeros({1, 3}, torch::kDouble), g), torch::zeros({1, 3}), 0);
}

TEST(Estimator, ScalesAreWatched) {
  const auto e = values({3, 4, 1e-9, 0}, {2, 2}), q = values({0, 10, 1, 0}, {2, 2});
  const auto scales = rotation_scales(e, q);
  expect_close(scales.mean, (2.0 + 1000) / 2);
  expect_close(scales.clamped, 0.5);
}

TEST(Estimator, TheFusedBackwardPassIsTheFormula) {
  const auto e = wavy({3, 5, 7}), q = wavy({3, 5, 7}, 0.6), g = wavy({3, 5, 7}, 1.2);
  const auto eh = e / e.norm(2, -1, true), qh = q / q.norm(2, -1, true);
  const auto w = (eh + qh) / (eh + qh).norm(2, -1, true);
  const auto expected =
      q.norm(2, -1, true) / e.norm(2, -1, true) * (g - 2 * w * (w * g).sum(-1, true) + 2 * eh * (qh * g).sum(-1, true));
  expect_close(gradient(e, q, g), expected, 1e-10, 1e-12);
  const auto strided = e.transpose(0, 1).contiguous().transpose(0, 1);
  expect_close(gradient(strided, q, g), expected, 1e-10, 1e-12);
  const auto single = torch::kFloat;
  expect_close(gradient(e.to(single), q.to(single), g.to(single)), expected, 1e-4, 1e-5);
}

}  // namespace elbo::estimator_test
