#include "elbo/evaluation/granule_noise.h"

#include <ATen/CPUGeneratorImpl.h>
#include <torch/types.h>

#include "support/tensors.h"

using namespace elbo;

namespace granule_noise_test {

Tensor whole(int64_t K, int64_t N, at::IntArrayRef event, at::ScalarType dtype = at::kFloat) {
  GranuleNoise noise(7, at::kCPU, dtype);
  return noise.normal({K, N}, event);
}

/// The same numbers drawn in pieces.
Tensor pieces(int64_t K, int64_t N, at::IntArrayRef event, int64_t batch, int64_t chunk, at::ScalarType dtype = at::kFloat) {
  GranuleNoise noise(7, at::kCPU, dtype);
  std::vector<Tensor> columns;
  for (int64_t row = 0; row < N; row += batch) {
    std::vector<Tensor> samples;
    for (int64_t sample = 0; sample < K; sample += chunk) {
      noise.place(row, sample);
      samples.push_back(noise.normal({std::min(chunk, K - sample), std::min(batch, N - row)}, event));
    }
    columns.push_back(torch::cat(samples, 0));
  }
  return torch::cat(columns, 1);
}

TEST(GranuleNoise, IsTheSameForEveryBatchAndChunkSize) {
  const auto expected = whole(50, 200, {3});
  for (const int64_t batch : {1, 7, 63, 64, 65, 100, 128, 200}) {
    for (const int64_t chunk : {1, 5, 15, 16, 17, 32, 50}) {
      SCOPED_TRACE(testing::Message() << "batch " << batch << ", chunk " << chunk);
      expect_equal(pieces(50, 200, {3}, batch, chunk), expected);
    }
  }
}

TEST(GranuleNoise, IsTheSameForOddEventsAndFloat64) {
  for (const Shape& event : {Shape{}, Shape{1}, Shape{7}, Shape{1, 3, 5}}) {
    for (const auto dtype : {at::kFloat, at::kDouble}) {
      SCOPED_TRACE(shape_text(event));
      const auto expected = whole(19, 70, event, dtype);
      EXPECT_EQ(expected.sizes(), joined({19, 70}, event));
      EXPECT_EQ(expected.scalar_type(), dtype);
      expect_equal(pieces(19, 70, event, 33, 3, dtype), expected);
    }
  }
}

TEST(GranuleNoise, FewerSamplesAndRowsAreAPrefix) {
  const auto expected = whole(5000, 70, {2});
  for (const int64_t K : {1, 15, 16, 50, 4999}) expect_equal(whole(K, 70, {2}), expected.narrow(0, 0, K));
  for (const int64_t N : {1, 63, 64, 65}) expect_equal(whole(5000, N, {2}), expected.narrow(1, 0, N));
}

TEST(GranuleNoise, UniformNumbersAreAPrefixToo) {
  GranuleNoise noise(7), other(7);
  const auto expected = noise.uniform({40, 100}, {3});
  other.place(60, 9);
  expect_equal(other.uniform({20, 33}, {3}), expected.narrow(0, 9, 20).narrow(1, 60, 33));
  EXPECT_GE(expected.min().item<double>(), 0);
  EXPECT_LT(expected.max().item<double>(), 1);
  EXPECT_NEAR(expected.mean().item<double>(), 0.5, 5 * std::sqrt(1.0 / 12 / 12000));
}

// Row 70 is the 6th of block 1, sample 20 the 4th of block 1: the key's parts in their documented order.
TEST(GranuleNoise, TakesEachNumberFromTheGranuleOfItsPlace) {
  GranuleNoise noise(5);
  noise.uniform({1, 1}, {});  // call 0
  const auto drawn = noise.normal({2, 30, 100}, {3});
  auto generator = at::detail::createCPUGenerator();
  generator.set_current_seed(fold_to_32_bits(
      hash_key({hash_key({5, hash_key("evaluation")}), 0, /*call=*/1, /*r=*/1, /*row block=*/1, /*sample block=*/1})));
  const auto granule = torch::randn({16, 64, 3}, generator);
  expect_equal(drawn[1].narrow(0, 16, 14).narrow(1, 64, 36), granule.narrow(0, 0, 14).narrow(1, 0, 36));
}

TEST(GranuleNoise, CountsDrawsFromEachPlacing) {
  GranuleNoise noise(7);
  const auto first = noise.normal({2, 8}, {4}), second = noise.normal({2, 8}, {4});
  EXPECT_FALSE(first.equal(second));
  noise.place(0, 0);
  expect_equal(noise.normal({2, 8}, {4}), first);
  expect_equal(noise.normal({2, 8}, {4}), second);
}

TEST(GranuleNoise, RepetitionsBlocksKindsAndSeedsDiffer) {
  GranuleNoise noise(7), other(8);
  const auto drawn = noise.normal({3, 40, 200}, {2});  // 3 repetitions, 3 sample blocks, 4 row blocks
  EXPECT_GT(std::get<0>(torch::_unique2(drawn)).numel(), 0.99 * static_cast<double>(drawn.numel()));
  EXPECT_FALSE(other.normal({3, 40, 200}, {2}).equal(drawn));
  EXPECT_NEAR(drawn.mean().item<double>(), 0, 5 / std::sqrt(48000.0));
  EXPECT_NEAR(drawn.var().item<double>(), 1, 5 * std::sqrt(2 / 48000.0));
}

TEST(GranuleNoise, ReadsMissingExtentsAsOne) {
  GranuleNoise noise(7);
  const auto drawn = noise.normal({1, 90}, {2});
  noise.place(0, 0);
  expect_equal(noise.normal({90}, {2}), drawn[0]);
  noise.place(0, 0);
  expect_equal(noise.normal({1, 1, 90}, {2})[0], drawn);
  noise.place(0, 0);
  expect_equal(noise.normal({}, {2}), drawn[0][0]);
}

}  // namespace granule_noise_test
