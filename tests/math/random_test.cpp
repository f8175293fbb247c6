#include "elbo/math/random.h"

#include <ATen/Context.h>

#include "support/tensors.h"

namespace elbo::random_test {

Tensor draw(uint64_t seed, const std::string& name, int64_t step, int64_t rank = 0) {
  Stream stream(seed, name, at::kCPU, rank);
  stream.rekey(step);
  return stream.normal({16}, {});
}

TEST(Stream, IsAFunctionOfSeedNameRankAndStep) {
  expect_equal(draw(1, "noise", 5), draw(1, "noise", 5));
  EXPECT_FALSE(draw(1, "noise", 5).equal(draw(2, "noise", 5)));
  EXPECT_FALSE(draw(1, "noise", 5).equal(draw(1, "model", 5)));
  EXPECT_FALSE(draw(1, "noise", 5).equal(draw(1, "noise", 6)));
  EXPECT_FALSE(draw(1, "noise", 5).equal(draw(1, "noise", 5, 1)));
}

TEST(Stream, RekeyForgetsWhatWasDrawnBefore) {
  Stream stream(3, "noise", at::kCPU);
  stream.rekey(7);
  const auto first = stream.normal({16}, {});
  stream.uniform({100}, {3});
  stream.rekey(7);
  expect_equal(stream.normal({16}, {}), first);
}

TEST(Stream, LeavesTheDefaultGeneratorAlone) {
  const auto before = at::globalContext().defaultGenerator(at::kCPU).get_state().clone();
  Stream stream(3, "noise", at::kCPU);
  stream.normal({2, 3}, {4});
  stream.uniform({2, 3}, {4});
  stream.permutation(10);
  expect_equal(at::globalContext().defaultGenerator(at::kCPU).get_state(), before);
}

TEST(Stream, NeighbouringKeysAreUncorrelated) {
  // Means of 64 streams keyed by neighbouring steps: a weak hash would correlate them.
  Stream stream(1, "noise", at::kCPU);
  std::vector<Tensor> rows;
  for (int64_t step = 0; step < 64; ++step) {
    stream.rekey(step);
    rows.push_back(stream.normal({4096}, {}));
  }
  const auto x = torch::stack(rows);
  const auto correlation = torch::corrcoef(x) - torch::eye(64);
  EXPECT_LT(correlation.abs().max().item<double>(), 5.0 / 64) << "5 standard errors of 1/sqrt(4096)";
}

TEST(Stream, ShapesAreLeadingThenEvent) {
  Stream stream(1, "noise", at::kCPU, 0, torch::kDouble);
  const auto z = stream.normal({2, 3}, {4});
  EXPECT_EQ(z.sizes(), at::IntArrayRef({2, 3, 4}));
  EXPECT_EQ(z.scalar_type(), torch::kDouble);
  const auto u = stream.uniform({1000}, {});
  EXPECT_GE(u.min().item<double>(), 0);
  EXPECT_LT(u.max().item<double>(), 1);
}

TEST(Stream, PermutationHoldsEachNumberOnce) {
  Stream stream(1, "order", at::kCPU);
  expect_equal(std::get<0>(stream.permutation(1000).sort()), torch::arange(1000));
}

TEST(HashKey, EveryPartAndItsPlaceCounts) {
  EXPECT_NE(hash_key({1, 2}), hash_key({2, 1}));
  EXPECT_NE(hash_key({1}), hash_key({1, 0}));
  EXPECT_NE(hash_key("noise"), hash_key("noisf"));
  EXPECT_LE(fold_to_32_bits(~0ULL << 1), 0xffffffffULL);
  EXPECT_NE(fold_to_32_bits(1ULL << 40), fold_to_32_bits(1ULL << 41)) << "the upper half counts too";
}

TEST(DefaultGeneratorGuard, RestoresTheState) {
  const auto before = at::globalContext().defaultGenerator(at::kCPU).get_state().clone();
  {
    const DefaultGeneratorGuard guard;
    torch::randn({100});
    EXPECT_FALSE(at::globalContext().defaultGenerator(at::kCPU).get_state().equal(before));
  }
  expect_equal(at::globalContext().defaultGenerator(at::kCPU).get_state(), before);
}

}  // namespace elbo::random_test
