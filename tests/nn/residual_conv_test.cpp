#include "elbo/nn/residual_conv.h"

#include "networks.h"

using namespace elbo;

namespace residual_conv_test {
using network_test::expect_gradient_everywhere;
using network_test::init_stream;
using network_test::message_of;
using network_test::names_and_shapes;

std::shared_ptr<Encoder> encoder_of(const ResidualConvConfig& config, const Shape& image) {
  auto init = init_stream();
  return make_residual_conv_encoder(config, {.input_shape = image, .init = init});
}
std::shared_ptr<Decoder> decoder_of(const ResidualConvConfig& config, const Shape& map, const Shape& image) {
  auto init = init_stream();
  return make_residual_conv_decoder(
      config, {.latent_size = c10::multiply_integers(map), .latent_map = map, .output_shape = image, .init = init});
}

TEST(ResidualConv, WithoutBlocksIsTheSmallNetworkToTheLayer) {
  const ResidualConvConfig config{.channels = {16, 32}, .residual_blocks = 0};
  const auto encoder = encoder_of(config, {1, 28, 28});
  EXPECT_EQ(names_and_shapes(*encoder),
            (std::vector<std::string>{"convs.0.weight [16, 1, 4, 4]", "convs.0.bias [16]", "convs.1.weight [32, 16, 4, 4]",
                                      "convs.1.bias [32]", "convs.2.weight [32, 32, 3, 3]", "convs.2.bias [32]"}));
  EXPECT_EQ(encoder->map_shape(), (Shape{32, 7, 7}));
  EXPECT_EQ(encoder->num_features(), 32 * 49);
  EXPECT_EQ(encoder->summary(), "1x28x28-16c-32c");

  const auto x = wavy({2, 1, 28, 28}).to(torch::kFloat);
  const auto p = encoder->parameters();
  auto h = torch::relu(torch::conv2d(x, p[0], p[1], 2, 1));
  h = torch::relu(torch::conv2d(h, p[2], p[3], 2, 1));
  expect_close(encoder->forward(x), torch::relu(torch::conv2d(h, p[4], p[5], 1, 1)).flatten(1), 1e-5, 1e-6);

  const auto decoder = decoder_of(config, {8, 7, 7}, {1, 28, 28});
  EXPECT_EQ(names_and_shapes(*decoder),
            (std::vector<std::string>{"convs.0.weight [32, 8, 3, 3]", "convs.0.bias [32]", "convs.1.weight [32, 16, 4, 4]",
                                      "convs.1.bias [16]", "output.weight [16, 1, 4, 4]", "output.bias [1]"}));
  const auto z = wavy({2, 8, 7, 7}, 0.3).to(torch::kFloat);
  const auto q = decoder->parameters();
  auto y = torch::relu(torch::conv2d(z, q[0], q[1], 1, 1));
  y = torch::relu(torch::conv_transpose2d(y, q[2], q[3], 2, 1));
  expect_close(decoder->forward(z.flatten(1)), torch::conv_transpose2d(y, q[4], q[5], 2, 1), 1e-5, 1e-6);
}

TEST(ResidualConv, BlocksAddReluConvReluConvToWhatTheyGet) {
  const ResidualConvConfig config{.channels = {4}, .residual_blocks = 2, .residual_channels = 3};
  const auto encoder = encoder_of(config, {1, 4, 4});
  const auto names = names_and_shapes(*encoder);
  ASSERT_EQ(names.size(), 12U);
  EXPECT_EQ(names[4], "blocks.0.conv1.weight [3, 4, 3, 3]");
  EXPECT_EQ(names[6], "blocks.0.conv2.weight [4, 3, 1, 1]");
  const auto x = wavy({2, 1, 4, 4}).to(torch::kFloat);
  const auto p = encoder->parameters();
  auto h = torch::conv2d(torch::relu(torch::conv2d(x, p[0], p[1], 2, 1)), p[2], p[3], 1, 1);
  for (size_t i = 4; i < 12; i += 4) {
    h = h + torch::conv2d(torch::relu(torch::conv2d(torch::relu(h), p[i], p[i + 1], 1, 1)), p[i + 2], p[i + 3]);
  }
  expect_close(encoder->forward(x), torch::relu(h).flatten(1), 1e-5, 1e-6);
}

TEST(ResidualConv, EveryParameterGetsAGradient) {
  const ResidualConvConfig config{.channels = {4, 6}, .residual_blocks = 1, .residual_channels = 5};
  const auto encoder = encoder_of(config, {3, 8, 8});
  expect_gradient_everywhere(*encoder, encoder->forward(wavy({2, 3, 8, 8}).to(torch::kFloat)));
  const auto decoder = decoder_of(config, {2, 2, 2}, {3, 8, 8});
  expect_gradient_everywhere(*decoder, decoder->forward(wavy({2, 8}).to(torch::kFloat)));
}

TEST(ResidualConv, SaysWhichSizesFit) {
  const ResidualConvConfig config{.channels = {4, 6}, .residual_blocks = 0};
  EXPECT_EQ(message_of([&] {
              encoder_of(config, {1, 6, 8});
            }),
            "residual_conv encoder: 2 channels halve an image 2 times, so height and width must be divisible by 4, got 6 x 8; "
            "give fewer channels");
  EXPECT_EQ(message_of([&] {
              decoder_of(config, {5, 4, 4}, {1, 8, 8});
            }),
            "residual_conv decoder: got latents of shape [5, 4, 4], but it doubles a map of 2 x 2; let encoder and decoder halve "
            "and double as many times");
  auto init = init_stream();
  const auto vector = [&](int64_t size) {
    return make_residual_conv_decoder(config, {.latent_size = size, .output_shape = {1, 8, 8}, .init = init});
  };
  EXPECT_EQ(vector(12)->summary(), "3x2x2-6c-4c-1x8x8");
  EXPECT_EQ(message_of([&] { vector(10); }),
            "residual_conv decoder: starts from a map of 2 x 2, which 10 latents do not fill evenly; use an encoder that keeps "
            "places (residual_conv), or a decoder for vectors");
}

}  // namespace residual_conv_test
