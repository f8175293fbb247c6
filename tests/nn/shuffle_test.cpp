#include "elbo/nn/shuffle.h"

#include "elbo/base/error.h"
#include "support/gradients.h"

namespace elbo::shuffle_test {

TEST(Shuffle, TheWayDownUndoesTheWayUp) {
  for (const int64_t channels : {2, 4, 8, 16}) {
    const auto x = wavy({2, 8, 3, 5});
    expect_equal(unshuffle_average(repeat_shuffle(x, channels), 8), x);
  }
}

TEST(Shuffle, InNumbers) {
  const auto x = values({1, 2, 3, 4, 5, 6, 7, 8}, {1, 2, 2, 2});
  expect_equal(unshuffle_average(x, 8), x.view({1, 8, 1, 1}));
  expect_equal(unshuffle_average(x, 4), values({1.5, 3.5, 5.5, 7.5}, {1, 4, 1, 1}));
  expect_equal(unshuffle_average(x, 2), values({2.5, 6.5}, {1, 2, 1, 1}));
  const auto y = values({1, 2, 3, 4}, {1, 4, 1, 1});
  expect_equal(repeat_shuffle(y, 1), values({1, 2, 3, 4}, {1, 1, 2, 2}));
  expect_equal(repeat_shuffle(y, 2), values({1, 1, 2, 2, 3, 3, 4, 4}, {1, 2, 2, 2}));
}

TEST(Shuffle, TheGradientIsThatOfTheAverageAndOfTheCopies) {
  expect_gradient_matches([](const auto& in) { return unshuffle_average(in[0], 4); }, {wavy({2, 2, 4, 2})});
  expect_gradient_matches([](const auto& in) { return repeat_shuffle(in[0], 3); }, {wavy({2, 6, 2, 3})});
}

TEST(Shuffle, RefusesWhatDoesNotDivide) {
  const auto message = [](auto call) {
    try {
      call();
    } catch (const ShapeError& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  EXPECT_EQ(
      message([] {
        unshuffle_average(torch::zeros({1, 2, 3, 4}), 2);
      }),
      "unshuffle_average: got a map of shape [1, 2, 3, 4] and 2 channels, expected [B, C, H, W] with even H and W and channels "
      "that divide 4 C");
  EXPECT_EQ(message([] { unshuffle_average(torch::zeros({1, 2, 4, 4}), 3); }).find("unshuffle_average: "), 0u);
  EXPECT_EQ(
      message([] {
        repeat_shuffle(torch::zeros({1, 3, 4, 4}), 2);
      }),
      "repeat_shuffle: got a map of shape [1, 3, 4, 4] and 2 channels, expected [B, C, H, W] with C that divides 4 times the "
      "channels");
  EXPECT_EQ(message([] { repeat_shuffle(torch::zeros({3, 4, 4}), 2); }).find("repeat_shuffle: "), 0u);
}

// The two heads that enlarge features: Yu et al. 2025.
TEST(Shuffle, RepeatingFourTimesThenSpreadingIsTheNearestNeighbour) {
  const auto x = wavy({2, 3, 4, 5});
  expect_equal(repeat_shuffle(x, 3), torch::upsample_nearest2d(x, {8, 10}));
}

TEST(Shuffle, SpreadingThenRepeatingGivesFourCopiesOfFourTimesTheEnergy) {
  const auto x = wavy({2, 8, 3, 5});
  const auto y = shuffle_repeat(x);
  EXPECT_EQ(y.sizes(), (Shape{2, 8, 6, 10}));
  const auto groups = y.unflatten(1, Shape{2, 4});
  for (int64_t copy = 1; copy < 4; ++copy) expect_equal(groups.select(2, copy), groups.select(2, 0));
  expect_equal(groups.select(2, 0), torch::pixel_shuffle(x, 2));
  EXPECT_NEAR(y.square().sum().item<double>(), 4 * x.square().sum().item<double>(), 1e-9);
  EXPECT_THROW(shuffle_repeat(torch::zeros({1, 6, 2, 2})), ShapeError);
}

}  // namespace elbo::shuffle_test
