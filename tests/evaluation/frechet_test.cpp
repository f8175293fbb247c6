#include "elbo/evaluation/frechet.h"

#include "elbo/evaluation/linear_classifier.h"
#include "fakes.h"
#include "golden/frechet.h"

using namespace elbo;

namespace frechet_test {

FeatureMoments gaussian(const Tensor& mean, const Tensor& covariance) {
  return {.mean = mean, .covariance = covariance, .count = 2};
}

TEST(Frechet, AgreesWithTheClosedFormsOfNormals) {
  const auto eye = torch::eye(3, torch::kDouble);
  const auto zero = torch::zeros({3}, torch::kDouble);
  EXPECT_NEAR(frechet_distance(gaussian(zero, eye), gaussian(values({1, 2, -2}), eye)), 9, 1e-12);  // means alone
  // Covariances that commute: sum of (s_i - t_i)^2 of the deviations.
  const auto c1 = values({1, 4, 9}).diag(), c2 = values({4, 1, 0}).diag();
  EXPECT_NEAR(frechet_distance(gaussian(zero, c1), gaussian(zero, c2)), 1 + 1 + 9, 1e-7);
  EXPECT_NEAR(frechet_distance(gaussian(zero, c2), gaussian(zero, c1)), 11, 1e-7);
  // In two dimensions tr (C1 C2)^1/2 = (tr C1 C2 + 2 (det C1 C2)^1/2)^1/2, commuting or not.
  const auto a = values({2, 1, 1, 2}, {2, 2}), b = values({5, -1, -1, 1}, {2, 2});
  const auto flat = torch::zeros({2}, torch::kDouble);
  const double cross = std::sqrt((2 * 5 - 1) + (-1 + 2) + 2 * std::sqrt(3.0 * 4.0));
  EXPECT_NEAR(frechet_distance(gaussian(flat, a), gaussian(flat, b)), 4 + 6 - 2 * cross, 1e-12);
  EXPECT_NEAR(frechet_distance(gaussian(flat, a), gaussian(flat, a)), 0, 1e-12);
}

TEST(Frechet, AgreesWithNumpyHoweverTheRowsAreCut) {
  for (const auto& expected : golden::kFrechetCases) {
    const auto moments = [&](const std::array<double, 3>& of, int64_t cut) {
      const auto j = torch::arange(expected.rows * expected.features, torch::kDouble);
      const auto rows = (of[1] * (1.7 * j + 0.013 * j * j + of[0]).sin() + of[2]).view({expected.rows, expected.features});
      MomentSums sums;
      for (const auto& part : rows.split(cut)) sums.add(part);
      return sums.moments();
    };
    for (const int64_t cut : {int64_t{1}, int64_t{7}, expected.rows}) {
      EXPECT_NEAR(frechet_distance(moments(expected.a, cut), moments(expected.b, cut)), expected.distance,
                  1e-6 * (1 + expected.distance));
    }
  }
}

TEST(MomentSums, KeepTheDigitsOfAFarMean) {
  const auto rows = 1e8 + wavy({9, 2});
  MomentSums sums;
  for (const auto& part : rows.split(2)) sums.add(part);
  const auto centred = rows - rows.mean(0);
  expect_close(sums.moments().covariance, centred.t().matmul(centred) / 8, 1e-6, 1e-12);
  EXPECT_EQ(sums.moments().count, 9);
  MomentSums one;
  one.add(rows.narrow(0, 0, 1));
  EXPECT_EQ(fakes::message_of([&] { one.moments(); }), "a covariance needs at least two rows, got 1");
}

/// Mean over rows of log p(label) less the penalty, of a fitted classifier.
double objective(const LinearClassifier& fitted, const Tensor& x, const Tensor& y, double penalty) {
  const auto log_p = fitted.logits(x).log_softmax(1).gather(1, y.unsqueeze(1)).mean();
  return (log_p - 0.5 * penalty * fitted.weight.square().sum()).item<double>();
}

TEST(LinearClassifier, IsAtTheMaximumWhateverTheScaleOfTheInputs) {
  const auto x = wavy({60, 4});
  const auto y = (x.select(1, 0) + 0.5 * wavy({60}, 1) > 0).to(at::kLong) + (x.select(1, 2) > 0.6).to(at::kLong);
  const auto fitted = fit_linear_classifier(x, y, 3, 1e-2);
  const auto best = objective(fitted, x, y, 1e-2);
  for (int64_t v = 0; v < 3; ++v) {
    for (int64_t d = 0; d < 4; ++d) {
      for (const double step : {-1e-2, 1e-2}) {
        auto moved = fitted;
        moved.weight = fitted.weight.clone();
        moved.weight[v][d].add_(step);
        EXPECT_LT(objective(moved, x, y, 1e-2), best);
      }
    }
  }
  // At the maximum the residuals sum to 0 in every class: the biases carry no penalty.
  const auto shares = fitted.logits(x).softmax(1).mean(0);
  expect_close(shares, torch::one_hot(y, 3).to(at::kDouble).mean(0), 1e-5);
  const auto rescaled = fit_linear_classifier(1000 * x + 77, y, 3, 1e-2);
  expect_close(rescaled.logits(1000 * x + 77), fitted.logits(x), 1e-4, 1e-4);
}

TEST(LinearClassifier, SeparatesWhatCanBeAndTakesWhatNeverChanges) {
  auto x = torch::cat({wavy({30, 2}) + 5, wavy({30, 2}, 1) - 5});
  x = torch::cat({x, torch::full({60, 1}, 3.0, torch::kDouble)}, 1);  // of no variance
  const auto y = (torch::arange(60) >= 30).to(at::kLong);
  const auto fitted = fit_linear_classifier(x, y, 2);
  expect_equal(fitted.predict(x), y);
  expect_finite(fitted.weight);
}

}  // namespace frechet_test
