#include "elbo/math/blocks.h"

#include "elbo/math/structural_similarity.h"
#include "support/tensors.h"

namespace elbo::blocks_test {

TEST(Blocks, HoldTheirOwnNumbersAndAFillWhereTheMapEnds) {
  const auto map = torch::arange(2 * 3 * 5, torch::kDouble).view({1, 2, 3, 5});
  const auto blocks = in_blocks(map, 2, -1);
  EXPECT_EQ(blocks.sizes(), (Shape{1, 2, 3, 8}));
  expect_equal(blocks[0][0][1], values({2, 3, 7, 8, 17, 18, 22, 23}));
  expect_equal(blocks[0][1][2], values({14, -1, -1, -1, 29, -1, -1, -1}));
  expect_equal(block_sizes({2, 3, 5}, 2), values({8, 8, 4, 4, 4, 2}, {2, 3}));
}

TEST(Blocks, OfSideZeroOrLargerThanTheMapAreTheWhole) {
  const auto map = wavy({2, 1, 3, 4});
  expect_equal(in_blocks(map, 0, 9), map.reshape({2, 1, 1, 12}));
  expect_equal(in_blocks(map, 7, 9), map.reshape({2, 1, 1, 12}));
  expect_equal(in_blocks(map, 1, 9), map.reshape({2, 3, 4, 1}));
}

TEST(Blocks, GiveEachPlaceItsBlocksNumber) {
  const auto places = over_places(values({1, 2, 3, 4, 5, 6}, {2, 3}), 3, 5, 2);
  expect_equal(places, values({1, 1, 2, 2, 3, 1, 1, 2, 2, 3, 4, 4, 5, 5, 6}, {3, 5}));
}

TEST(StructuralSimilarity, HasTheGradientOfItsFiniteDifference) {
  const auto x = (1 + wavy({1, 1, 12, 11})) / 2, y = (1 + wavy({1, 1, 12, 11}, 0.8)) / 2;
  auto moved = y.clone().requires_grad_();
  structural_similarity(x, moved).sum().backward();
  for (const int64_t place : {0, 40, 77, 131}) {
    auto up = y.clone(), down = y.clone();
    up.view(-1)[place] += 1e-6;
    down.view(-1)[place] -= 1e-6;
    const auto slope = (structural_similarity(x, up) - structural_similarity(x, down)) / 2e-6;
    EXPECT_NEAR(moved.grad().view(-1)[place].item<double>(), slope.item<double>(), 1e-7);
  }
  expect_close(structural_similarity(x, x), 1, 1e-12);
}

}  // namespace elbo::blocks_test
