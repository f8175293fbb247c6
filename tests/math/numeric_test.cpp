#include "elbo/math/numeric.h"

#include "elbo/base/error.h"
#include "support/gradients.h"

namespace elbo::numeric_test {

TEST(LogMeanExp, MatchesTheDefinition) {
  const auto x = wavy({5, 3});
  expect_close(log_mean_exp(x, 0), x.exp().mean(0).log(), 1e-12);
}

TEST(LogMeanExp, ShiftsWithItsArgumentAtAnyHeight) {
  const auto x = wavy({5, 3});
  for (const double offset : {-1000.0, 1000.0}) {
    expect_close(log_mean_exp(x + offset, 0) - offset, log_mean_exp(x, 0), 0, 1e-9);
    expect_finite(log_mean_exp((x + offset).to(torch::kFloat), 0));
  }
}

TEST(LogMeanExp, OfOneValueIsTheValue) { expect_close(log_mean_exp(wavy({1, 4}), 0), wavy({4}), 1e-15); }

TEST(LogMeanExp, OfNothingButMinusInfinityIsMinusInfinity) {
  const auto x = torch::full({3, 2}, -INFINITY, torch::kDouble);
  expect_close(log_mean_exp(x, 0), -INFINITY);
}

TEST(LogMeanExp, GradientIsTheSoftmax) {
  expect_gradient_matches([](const auto& in) { return log_mean_exp(in[0], 0); }, {wavy({4, 2})});
}

TEST(EffectiveSampleSize, GoesFromOneToTheNumberOfSamples) {
  expect_close(effective_sample_size(torch::full({8, 1}, -700.0, torch::kDouble), 0), 8.0, 1e-12);
  expect_close(effective_sample_size(values({0, -800, -900}).view({3, 1}), 0), 1.0, 1e-12);
  expect_close(effective_sample_size(values({std::log(3), 0}).view({2, 1}), 0), 16.0 / 10.0, 1e-12);
}

TEST(MeanAndError, IsTheStandardErrorOfTheMean) {
  const auto result = mean_and_error(values({1, 2, 3, 4}));
  EXPECT_DOUBLE_EQ(result.mean, 2.5);
  EXPECT_DOUBLE_EQ(result.standard_error, std::sqrt(5.0 / 3) / 2);
}

TEST(CheckShape, SaysWhatWhereAndWhatWasExpected) {
  check_shape(torch::zeros({2, 3}), {2, kAnyExtent}, "z");
  try {
    check_shape(torch::zeros({2, 3}), {kAnyExtent, 4}, "z");
    FAIL();
  } catch (const ShapeError& error) {
    EXPECT_STREQ(error.what(), "z: got [2, 3], expected [any, 4]");
  }
}

TEST(Sums, CountDimensionsFromEitherEnd) {
  const auto x = wavy({2, 3, 4});
  expect_equal(sum_last(x, 0), x);
  expect_close(sum_last(x, 2), x.sum(at::IntArrayRef{1, 2}), 1e-12);
  expect_close(sum_after(x, 2), x.sum(2), 1e-12);
}

}  // namespace elbo::numeric_test
