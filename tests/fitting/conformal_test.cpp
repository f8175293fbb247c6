#include "elbo/fitting/conformal.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "elbo/base/error.h"
#include "elbo/math/random.h"
#include "support/tensors.h"

namespace elbo::conformal_test {

/// Magnitudes of a model's errors on maps: heavy tails, rows of different difficulty, neighbours alike, worse to the right.
Tensor heavy_errors(int64_t B, int64_t side, Stream& stream) {
  const auto row = stream.normal({B}, {1, 1}).abs() + 0.2;
  const auto shared = stream.normal({B}, {side, 1});
  const auto own = stream.normal({B}, {side, side});
  const auto tail = stream.normal({B}, {side, side}).abs() + 0.05;
  const auto place = 1 + torch::arange(side) / 4;
  return (row * place * (shared + own) / tail).abs();
}

Stream stream_of(uint64_t step) {
  Stream stream(3, "conformal", at::kCPU);
  stream.rekey(static_cast<int64_t>(step));
  return stream;
}

double mean_of(const Tensor& values) { return values.mean().item<double>(); }

/// Mean and standard error of what `trial` gives.
struct Trials {
  double mean = 0;
  double error = 0;
};
template <class F>
Trials trials(int64_t count, F&& trial) {
  std::vector<double> found;
  for (int64_t i = 0; i < count; ++i) found.push_back(trial(static_cast<uint64_t>(i)));
  const auto all = values(found);
  return {all.mean().item<double>(), all.std().item<double>() / std::sqrt(static_cast<double>(count))};
}

std::string message_of_conformal(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

TEST(Conformal, TheThresholdIsTheRankedScoreOfEachBlock) {
  // Two blocks side by side; ranks ceil(20 * 0.95) = 19 of 19 rows, ceil(10 * 0.8) = 8 of 9.
  const auto left = torch::arange(1, 20, torch::kDouble), right = 100 * left;
  const auto errors = torch::stack({left, left - 0.5, right, right - 0.5}, 1).view({19, 1, 1, 4});
  BlockConformal all({.block = 2, .alpha = 0.05});
  all.calibrate(errors.slice(0, 0, 7));
  all.calibrate(errors.slice(0, 7));
  expect_close(all.thresholds(), values({19, 1900}, {1, 2}));
  EXPECT_EQ(all.num_rows(), 19);
  BlockConformal nine({.block = 2, .alpha = 0.2});
  nine.calibrate(errors.slice(0, 0, 9));
  expect_close(nine.thresholds(), values({8, 800}, {1, 2}));
  expect_close(nine.half_widths(), values({8, 8, 800, 800}, {1, 4}));
  EXPECT_DOUBLE_EQ(nine.width(), 808);
}

TEST(Conformal, TooFewRowsGiveInfiniteIntervals) {
  const auto errors = wavy({18, 1, 2, 2}).abs();
  BlockConformal few({.block = 1, .alpha = 0.05});
  few.calibrate(errors);
  EXPECT_TRUE(few.thresholds().isinf().all().item<bool>());
  EXPECT_TRUE(few.half_widths().isinf().all().item<bool>());
  few.calibrate(errors.slice(0, 0, 1));
  EXPECT_TRUE(few.thresholds().isfinite().all().item<bool>());
  EXPECT_EQ(BlockConformal::least_rows(0.05), 19);
  EXPECT_EQ(BlockConformal::least_rows(0.1), 9);
  EXPECT_EQ(BlockConformal::least_rows(0.5), 1);
  BlockConformal pooled({.block = 1, .alpha = 0.05, .pooling = BlockPooling::all});
  pooled.calibrate(errors);  // 72 scores, but of 18 rows
  EXPECT_TRUE(pooled.thresholds().isinf().all().item<bool>());
}

// P(covered) is in [1 - alpha, 1 - alpha + 1/(n + 1)] of each block, whatever the errors look like.
TEST(Conformal, BlocksAreCoveredAsOftenAsPromisedOnHeavyTails) {
  constexpr int64_t kSplits = 500, kN = 49, kNew = 50, kSide = 8;
  constexpr double kAlpha = 0.1;
  for (const int64_t block : {1, 4, 0}) {
    SCOPED_TRACE(block);
    const auto found = trials(kSplits, [&](uint64_t split) {
      auto stream = stream_of(split);
      BlockConformal conformal({.block = block, .alpha = kAlpha});
      conformal.calibrate(heavy_errors(kN, kSide, stream));
      return mean_of(conformal.coverage(heavy_errors(kNew, kSide, stream)).blocks);
    });
    EXPECT_GE(found.mean, 1 - kAlpha - 3 * found.error);
    EXPECT_LE(found.mean, 1 - kAlpha + 1.0 / (kN + 1) + 3 * found.error);
  }
}

// What the paper's code does instead: 1.96 standard deviations of the blocks' mean errors.
TEST(Conformal, NormalQuantilesOfBlockMeansPromiseNothing) {
  const auto found = trials(100, [&](uint64_t split) {
    auto stream = stream_of(split);
    const auto means = torch::avg_pool2d(heavy_errors(200, 8, stream).unsqueeze(1), 4);
    const auto bound = (1.96 * means.std(0)).repeat_interleave(4, 1).repeat_interleave(4, 2);
    const auto fresh = heavy_errors(50, 8, stream).unsqueeze(1);
    const auto covered = (fresh <= bound).view({50, 2, 4, 2, 4}).all(4).all(2);
    return mean_of(covered.to(torch::kDouble));
  });
  EXPECT_LT(found.mean, 0.95 - 3 * found.error);
}

TEST(Conformal, InBlockQuantilesCoverTheirShareOfABlock) {
  constexpr double kAlpha = 0.1, kInner = 0.25;
  const auto found = trials(300, [&](uint64_t split) {
    auto stream = stream_of(split);
    BlockConformal conformal({.block = 4, .alpha = kAlpha, .score = BlockScore::quantile, .inner_alpha = kInner});
    conformal.calibrate(heavy_errors(49, 8, stream));
    const auto fresh = heavy_errors(50, 8, stream);
    // Counted from the intervals, not from the scores.
    const auto inside = fresh <= conformal.half_widths();
    const auto share = inside.view({50, 2, 4, 2, 4}).to(torch::kDouble).mean(4).mean(2);
    const auto covered = share.ge(1 - kInner).to(torch::kDouble);
    expect_close(conformal.coverage(fresh).blocks, covered.flatten(1).mean(1));
    return mean_of(covered);
  });
  EXPECT_GE(found.mean, 1 - kAlpha - 3 * found.error);
  EXPECT_LE(found.mean, 1 - kAlpha + 1.0 / 50 + 3 * found.error);
}

// 12 of 16 numbers are three quarters; where the map ends, 9 of 12, 6 of 8 and 5 of 6.
TEST(Conformal, InBlockQuantilesAreOfABlocksOwnNumbers) {
  const auto errors = torch::arange(6 * 7, torch::kDouble).view({1, 1, 6, 7}).expand({3, 1, 6, 7});
  BlockConformal conformal({.block = 4, .alpha = 0.5, .score = BlockScore::quantile, .inner_alpha = 0.25});
  conformal.calibrate(errors);
  // rows 0-3: columns 0-3 and 4-6; rows 4-5: columns 0-3 and 4-6
  expect_close(conformal.thresholds(), values({17, 20, 36, 40}, {2, 2}));
}

TEST(Conformal, PooledBlocksAreCoveredOnAverage) {
  constexpr double kAlpha = 0.1;
  const auto coverage = [&](uint64_t split, BlockPooling pooling) {
    auto stream = stream_of(split);
    BlockConformal conformal({.block = 2, .alpha = kAlpha, .pooling = pooling});
    conformal.calibrate(heavy_errors(19, 8, stream));
    EXPECT_EQ(conformal.thresholds().sizes(), (Shape{4, 4}));
    return mean_of(conformal.coverage(heavy_errors(400, 8, stream)).blocks);
  };
  const auto pooled = trials(300, [&](uint64_t split) { return coverage(split, BlockPooling::all); });
  EXPECT_GE(pooled.mean, 1 - kAlpha - 3 * pooled.error);
  // ceil(20 * 0.9 * 16) = 288 of 304 scores, whichever block they come from.
  auto stream = stream_of(0);
  const auto errors = heavy_errors(19, 8, stream);
  BlockConformal conformal({.block = 2, .alpha = kAlpha, .pooling = BlockPooling::all});
  conformal.calibrate(errors);
  const auto maxima = std::get<0>(errors.view({19, 4, 2, 4, 2}).amax({2, 4}).flatten().sort());
  expect_close(conformal.thresholds(), maxima[287].item<double>());
}

// The share of all examples that one calibration covers is Beta(k, n + 1 - k): of uniform errors, the threshold itself.
TEST(Conformal, CoverageOfOneSplitIsBeta) {
  constexpr int64_t kSplits = 2000, kN = 39, kK = 36;
  std::vector<double> found;
  for (int64_t split = 0; split < kSplits; ++split) {
    auto stream = stream_of(static_cast<uint64_t>(split));
    BlockConformal conformal({.block = 1, .alpha = 0.1});
    conformal.calibrate(stream.uniform({kN}, {1, 1, 1}));
    found.push_back(conformal.thresholds().item<double>());
  }
  std::sort(found.begin(), found.end());
  double distance = 0;  // of Kolmogorov and Smirnov
  for (size_t i = 0; i < found.size(); ++i) {
    double below = 0;  // P(Beta <= t) = P(Binomial(n, t) >= k)
    for (int64_t hits = kK; hits <= kN; ++hits) {
      const auto h = static_cast<double>(hits), n = static_cast<double>(kN);
      below += std::exp(std::lgamma(n + 1) - std::lgamma(h + 1) - std::lgamma(n - h + 1) + h * std::log(found[i]) +
                        (n - h) * std::log1p(-found[i]));
    }
    distance = std::max(distance, std::abs(below - (static_cast<double>(i) + 0.5) / kSplits));
  }
  EXPECT_LT(distance, 1.63 / std::sqrt(kSplits));  // 1 % level; a rank off by one gives 0.15
}

TEST(Conformal, ABlockWithTwiceTheErrorsIsTwiceAsWideAndNoOther) {
  auto stream = stream_of(1);
  auto errors = heavy_errors(40, 8, stream).unsqueeze(1);
  const auto scaled = errors.clone();
  scaled.slice(2, 0, 4).slice(3, 4, 8).mul_(2);
  for (const auto score : {BlockScore::maximum, BlockScore::quantile}) {
    BlockConformal before({.block = 4, .score = score}), after({.block = 4, .score = score});
    before.calibrate(errors);
    after.calibrate(scaled);
    auto expected = before.half_widths().clone();
    expected.slice(0, 0, 4).slice(1, 4, 8).mul_(2);
    expect_close(after.half_widths(), expected, 1e-12);
  }
}

TEST(Conformal, BlocksOfOneArePixelsAndBlocksOfTheHeightAreTheWhole) {
  auto stream = stream_of(2);
  const auto errors = heavy_errors(30, 6, stream).view({30, 1, 6, 6});
  BlockConformal pixels({.block = 1, .alpha = 0.1}), height({.block = 6, .alpha = 0.1}), whole({.block = 0, .alpha = 0.1});
  for (auto* conformal : {&pixels, &height, &whole}) conformal->calibrate(errors);
  constexpr int64_t kRank = 28;  // ceil(31 * 0.9)
  expect_close(pixels.thresholds(), std::get<0>(errors.squeeze(1).sort(0))[kRank - 1]);
  const auto largest = std::get<0>(errors.flatten(1).amax(1).sort())[kRank - 1];
  expect_close(whole.thresholds(), largest.view({1, 1}));
  expect_equal(height.thresholds(), whole.thresholds());
  const auto inside = pixels.coverage(errors);
  expect_equal(inside.blocks, inside.pixels);
}

TEST(Conformal, WidthsGrowWithTheCoverageAskedFor) {
  auto stream = stream_of(4);
  const auto errors = heavy_errors(60, 8, stream);
  for (const auto pooling : {BlockPooling::none, BlockPooling::all}) {
    Tensor last;
    for (const double alpha : {0.6, 0.4, 0.2, 0.1, 0.05, 0.01}) {
      BlockConformal conformal({.block = 4, .alpha = alpha, .pooling = pooling});
      conformal.calibrate(errors);
      if (last.defined()) {
        EXPECT_TRUE((conformal.half_widths() >= last).all().item<bool>()) << alpha;
      }
      last = conformal.half_widths();
    }
    EXPECT_TRUE(last.isinf().all().item<bool>());
  }
}

TEST(Conformal, AScaleSharesOneThresholdOutInProportion) {
  auto stream = stream_of(5);
  const auto training = heavy_errors(50, 8, stream), errors = heavy_errors(40, 8, stream), fresh = heavy_errors(50, 8, stream);
  const auto scale = block_means(training, 4);
  expect_close(scale, torch::avg_pool2d(training.unsqueeze(1).to(torch::kDouble), 4).mean(0)[0], 1e-6);
  BlockConformal pooled({.block = 4, .pooling = BlockPooling::all, .epsilon = 0}, scale);
  pooled.calibrate(errors);
  const auto widths = pooled.half_widths();
  expect_close(widths[0][0] / widths[0][7], scale[0][0] / scale[0][1], 1e-9);
  // Thresholds of their own undo whatever they were divided by.
  BlockConformal scaled({.block = 4}, scale), plain({.block = 4});
  scaled.calibrate(errors);
  plain.calibrate(errors);
  expect_close(scaled.half_widths(), plain.half_widths(), 1e-9);
  expect_equal(scaled.coverage(fresh).blocks, plain.coverage(fresh).blocks);
}

TEST(Conformal, IntervalsAreAroundTheReconstruction) {
  auto stream = stream_of(6);
  const auto errors = heavy_errors(40, 8, stream).unsqueeze(1).to(torch::kDouble);
  BlockConformal conformal({.block = 4});
  conformal.calibrate(errors);
  const auto x = wavy({3, 1, 8, 8}), reconstruction = x + 0.7;
  const auto lower = conformal.lower(reconstruction), upper = conformal.upper(reconstruction);
  expect_close((lower + upper) / 2, reconstruction, 1e-9);
  expect_close((upper - lower).mean(), conformal.width(), 1e-9);
  const auto inside = (x >= lower).logical_and(x <= upper).to(torch::kDouble).flatten(1).mean(1);
  expect_equal(conformal.coverage((x - reconstruction).abs()).pixels, inside);
}

TEST(Conformal, RowsOfNumbersHaveBlocksToo) {
  const auto errors = wavy({30, 10}).abs();
  BlockConformal conformal({.block = 4, .alpha = 0.1});
  conformal.calibrate(errors);
  EXPECT_EQ(conformal.thresholds().sizes(), (Shape{1, 3}));
  EXPECT_EQ(conformal.half_widths().sizes(), (Shape{1, 10}));
  expect_close(conformal.thresholds()[0][2], std::get<0>(errors.slice(1, 8).amax(1).sort())[27]);
  EXPECT_EQ(conformal.upper(errors).sizes(), errors.sizes());
}

// The promise on held-out rows for three block sizes, of a model that is as wrong as can be: it gives every map upside down.
TEST(Conformal, CoverageIsWithinTheBinomialBandOfTheNominalForAWrongModel) {
  constexpr int64_t kN = 4000, kNew = 1000;
  constexpr double kAlpha = 0.05;
  const double band = 2.576 * std::sqrt(kAlpha * (1 - kAlpha) / kNew);
  auto stream = stream_of(7);
  const auto x = (stream.normal({kN + kNew}, {1, 8, 8}) + 2 * stream.normal({kN + kNew}, {1, 8, 1})).sigmoid();
  const auto errors = (x - (1 - x)).abs();
  for (const int64_t block : {1, 4, 0}) {
    SCOPED_TRACE(block);
    BlockConformal conformal({.block = block, .alpha = kAlpha});
    conformal.calibrate(errors.slice(0, 0, kN));
    EXPECT_NEAR(mean_of(conformal.coverage(errors.slice(0, kN)).blocks), 1 - kAlpha, band);
  }
}

TEST(Conformal, TheBandOfCoverageIsBetaBinomial) {
  // n = 1, k = 1, Beta(1, 1): each count of hits is as likely as any other.
  const auto even = coverage_band(1, 999, 0.5, 0.9);
  EXPECT_NEAR(even.low, 0.05, 0.002);
  EXPECT_NEAR(even.high, 0.95, 0.002);
  // Far more calibration rows than new ones: binomial.
  const auto wide = coverage_band(1'000'000, 400, 0.05, 0.99);
  EXPECT_NEAR(wide.low, 0.95 - 2.576 * std::sqrt(0.05 * 0.95 / 400), 0.005);
  EXPECT_NEAR(wide.high, 0.95 + 2.576 * std::sqrt(0.05 * 0.95 / 400), 0.005);
  EXPECT_EQ(coverage_band(10, 5, 0.05, 0.99).low, 1);  // infinite intervals miss nothing
}

TEST(Conformal, SaysWhatIsWrong) {
  EXPECT_EQ(message_of_conformal([] { BlockConformal({.alpha = 0}); }), "conformal: alpha is 0, expected between 0 and 1");
  EXPECT_EQ(message_of_conformal([] { BlockConformal({.block = -2}); }), "conformal: a block of side -2; 0 is the whole map");
  EXPECT_EQ(message_of_conformal([] { BlockConformal({}).width(); }),
            "conformal blocks: thresholds need rows to calibrate on; call calibrate() first");
  BlockConformal conformal({});
  conformal.calibrate(torch::zeros({2, 1, 8, 8}));
  EXPECT_EQ(message_of_conformal([&] {
              conformal.coverage(torch::zeros({2, 1, 8, 9}));
            }),
            "conformal blocks: rows: got [2, 1, 8, 9], expected [any, 1, 8, 8]");
  EXPECT_EQ(message_of_conformal([&] {
              conformal.calibrate(torch::full({1, 1, 8, 8}, NAN));
            }),
            "conformal blocks: an error to calibrate on is not a number");
  EXPECT_EQ(message_of_conformal([&] {
              BlockConformal({}, torch::ones({3, 3})).calibrate(torch::zeros({2, 1, 8, 8}));
            }),
            "conformal blocks: scale: got [3, 3], expected [2, 2]");
}

}  // namespace elbo::conformal_test
