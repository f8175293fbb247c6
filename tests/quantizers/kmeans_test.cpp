#include "elbo/quantizers/kmeans.h"

#include "elbo/quantizers/codebook.h"
#include "support/tensors.h"

namespace elbo::kmeans_test {

Stream stream(uint64_t seed = 1) { return Stream(seed, "model", at::kCPU); }

TEST(KMeans, WithoutIterationsItIsRowsDrawnWithoutReplacement) {
  auto draws = stream();
  const auto rows = torch::arange(10, torch::kFloat).unsqueeze(1);
  const auto clusters = kmeans(rows, 10, 0, draws);
  expect_equal(std::get<0>(clusters.centres.flatten().sort()), rows.flatten());
  EXPECT_FALSE(clusters.centres.equal(rows));
  expect_equal(clusters.counts, torch::ones({10}, torch::kLong));
}

TEST(KMeans, FewerRowsThanCentresAreDrawnAgain) {
  auto draws = stream();
  const auto rows = torch::arange(3, torch::kFloat).unsqueeze(1);
  const auto drawn = drawn_rows(rows, 7, draws);
  for (int64_t i = 0; i < 3; ++i) EXPECT_GE(drawn.eq(i).sum().item<int64_t>(), 2);
}

TEST(KMeans, ACentreWithoutRowsStays) {
  auto draws = stream();
  const auto clusters = kmeans(torch::full({4, 1}, 2.0f), 3, 5, draws);  // ties: the first centre takes all
  expect_equal(clusters.centres, torch::full({3, 1}, 2.0f));
  expect_equal(clusters.counts, torch::tensor({4, 0, 0}));
}

TEST(KMeans, NothingToStartFromIsSaid) {
  auto draws = stream();
  EXPECT_THROW(kmeans(torch::zeros({0, 3}), 2, 1, draws), std::exception);
}

/// Midpoints of 20,000 equally probable parts of N(0, 1).
Tensor normal_quantiles() {
  const int64_t N = 20000;
  const auto p = (torch::arange(N, torch::kDouble) + 0.5) / static_cast<double>(N);
  return (std::sqrt(2.0) * torch::erfinv(2 * p - 1)).unsqueeze(1);
}

// Max 1960, table I: least squared errors of N(0, 1) in 2, 4, 8 and 16 levels.
TEST(SlowKMeans, ReachesTheBestScalarQuantizersOfANormal) {
  const auto x = normal_quantiles();
  struct Level {
    int64_t count;
    int64_t iterations;
    double error;
  };
  for (const auto& level : {Level{2, 100, 0.36338}, Level{4, 300, 0.11748}, Level{8, 1500, 0.03455}, Level{16, 4000, 0.00950}}) {
    auto draws = stream(3);
    const auto clusters = kmeans(x, level.count, level.iterations, draws);
    const auto error = nearest_by(CodeMetric::euclidean, x, clusters.centres).distance.mean().item<double>();
    EXPECT_NEAR(error, level.error, 0.005 * level.error) << level.count;
    EXPECT_GT(error, 1.0 / static_cast<double>(level.count * level.count));  // the rate-distortion bound
    const auto codes = std::get<0>(clusters.centres.flatten().sort());
    if (level.count == 2) expect_close(codes, values({-0.7979, 0.7979}), 1e-3);
    if (level.count == 4) expect_close(codes, values({-1.5104, -0.4528, 0.4528, 1.5104}), 3e-3);
  }
}

}  // namespace elbo::kmeans_test
