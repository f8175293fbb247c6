#include "elbo/nn/gdn.h"

#include <cmath>

#include "elbo/math/lower_bound.h"
#include "elbo/nn/codec_blocks.h"
#include "support/tensors.h"

using namespace elbo;

namespace gdn_test {

TEST(LowerBounded, HoldsANumberAndLetsItLeaveUpwards) {
  const auto x = values({0.5, 2, 0.5, 2}).requires_grad_();
  const auto y = lower_bounded(x, 1);
  expect_equal(y, values({1, 2, 1, 2}));
  (y * values({3, 3, -3, -3})).sum().backward();  // descent goes against it: down, down, up, up
  expect_equal(x.grad(), values({0, 3, -3, -3}));
}

TEST(Gdn, DividesByTheRootOfAnAffineFormOfSquares) {
  Gdn gdn(2, GdnDirection::divide);
  auto parameters = gdn.named_parameters();
  parameters["beta"].data().copy_((values({1.5, 0.5}) + std::pow(2, -36)).sqrt());
  parameters["gamma"].data().copy_((values({0.1, 0.4, 0, 2}, {2, 2}) + std::pow(2, -36)).sqrt());
  const auto x = values({3, -2}, {1, 2, 1, 1}).to(torch::kFloat);
  const double first = 3 / std::sqrt(1.5 + 0.1 * 9 + 0.4 * 4), second = -2 / std::sqrt(0.5 + 2 * 4);
  expect_close(gdn.forward(x).flatten(), values({first, second}), 1e-6);
  Gdn inverse(2, GdnDirection::multiply);
  for (auto& parameter : inverse.named_parameters()) parameter.value().data().copy_(parameters[parameter.key()]);
  expect_close(inverse.forward(x).flatten(), values({9 / first, 4 / second}), 1e-6);
}

TEST(Gdn, StartsAtATenthOfTheChannelsOwnSquare) {
  Gdn gdn(3, GdnDirection::divide);
  const auto x = wavy({2, 3, 4, 4}).to(torch::kFloat);
  expect_close(gdn.forward(x), x / (1 + 0.1 * x.square()).sqrt(), 1e-5);
  gdn.forward(x).sum().backward();
  for (const auto& item : gdn.named_parameters()) EXPECT_TRUE(item.value().grad().ne(0).any().item<bool>()) << item.key();
}

TEST(CodecBlocks, KeepHalveAndDouble) {
  Stream init(1, "init", at::kCPU);
  const auto x = wavy({2, 4, 6, 8}).to(torch::kFloat);
  EXPECT_EQ(make_conv_block(4, 5, 3, init)->forward(x).sizes(), Shape({2, 5, 6, 8}));
  EXPECT_EQ(make_residual_block(4, init)->forward(x).sizes(), x.sizes());
  EXPECT_EQ(make_gated_block(4, init)->forward(x).sizes(), x.sizes());
  EXPECT_EQ(make_halving_block(4, 6, init)->forward(x).sizes(), Shape({2, 6, 3, 4}));
  EXPECT_EQ(make_doubling_block(4, 6, init)->forward(x).sizes(), Shape({2, 6, 12, 16}));
  EXPECT_EQ(make_shuffling_conv(4, 1, init)->forward(x).sizes(), Shape({2, 1, 12, 16}));
  const auto both = in_sequence({make_halving_block(4, 6, init), make_doubling_block(6, 4, init)});
  EXPECT_EQ(both->forward(x).sizes(), x.sizes());
  EXPECT_TRUE(both->named_parameters().contains("1.gdn.beta"));
}

}  // namespace gdn_test
