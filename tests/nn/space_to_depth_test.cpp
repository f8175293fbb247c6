#include "elbo/nn/space_to_depth.h"

#include "elbo/base/error.h"
#include "elbo/nn/residual_conv.h"
#include "support/tensors.h"

namespace elbo::space_to_depth_test {

const ResidualConvConfig kInner{.channels = {4, 6}, .residual_blocks = 1, .residual_channels = 3};

TEST(SpaceToDepth, SquaresBecomeChannelsAndBackWithoutLoss) {
  const auto x = wavy({2, 3, 8, 12});
  const auto deep = torch::pixel_unshuffle(x, 2);
  expect_equal(torch::pixel_shuffle(deep, 2), x);
  EXPECT_NEAR(deep.square().sum().item<double>(), x.square().sum().item<double>(), 1e-9);
}

TEST(SpaceToDepth, TheNetworkReadsAndGivesTheDeepPicture) {
  SpaceToDepthEncoderConfig encoding;
  encoding.network.set("residual_conv", kInner);
  SpaceToDepthDecoderConfig decoding;
  decoding.network.set("residual_conv", kInner);
  const auto x = wavy({2, 1, 16, 24}).to(torch::kFloat), z = wavy({2, 5 * 2 * 3}).to(torch::kFloat);
  Stream init(1, "init", at::kCPU), again(1, "init", at::kCPU);
  const auto encoder = make_space_to_depth_encoder(encoding, {.input_shape = {1, 16, 24}, .init = init});
  const auto inner = make_residual_conv_encoder(kInner, {.input_shape = {4, 8, 12}, .init = again});
  EXPECT_EQ(encoder->map_shape(), (Shape{6, 2, 3}));  // an eighth, by two halvings
  expect_equal(encoder->forward(x), inner->forward(torch::pixel_unshuffle(x, 2)));
  const auto decoder = make_space_to_depth_decoder(
      decoding, {.latent_size = 30, .latent_map = {5, 2, 3}, .output_shape = {1, 16, 24}, .init = init});
  const auto inner_decoder =
      make_residual_conv_decoder(kInner, {.latent_size = 30, .latent_map = {5, 2, 3}, .output_shape = {4, 8, 12}, .init = again});
  const auto picture = decoder->forward(z);
  EXPECT_EQ(picture.sizes(), (Shape{2, 1, 16, 24}));
  expect_equal(picture, torch::pixel_shuffle(inner_decoder->forward(z), 2));
}

TEST(SpaceToDepth, RefusesWhatDoesNotDivide) {
  Stream init(1, "init", at::kCPU);
  try {
    make_space_to_depth_encoder({.factor = 3}, {.input_shape = {1, 16, 24}, .init = init});
    ADD_FAILURE() << "accepted";
  } catch (const ConfigError& error) {
    EXPECT_STREQ(error.what(), "space_to_depth encoder: a factor of 3 doesn't divide 1x16x24");
  }
}

}  // namespace elbo::space_to_depth_test
