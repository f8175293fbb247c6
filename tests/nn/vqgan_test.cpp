#include "elbo/nn/vqgan.h"

#include <gmock/gmock.h>

#include "elbo/base/error.h"
#include "elbo/nn/patch_critic.h"
#include "support/tensors.h"

using namespace elbo;

namespace vqgan_network_test {
using ::testing::HasSubstr;

Stream init_stream() { return Stream(1, "init", at::kCPU); }

TEST(Vqgan, TheImageNetModelHalvesFourTimesAndAttendsAtSixteen) {
  auto init = init_stream();
  const VqganNetworkConfig narrow{.channels = 4, .norm_groups = 4, .features = 6};  // all else as published
  const auto encoder = make_vqgan_encoder(narrow, {.input_shape = {3, 256, 256}, .init = init});
  EXPECT_EQ(encoder->map_shape(), Shape({6, 16, 16}));
  EXPECT_EQ(encoder->summary(), "3x256x256-4r2-4r2-8r2-8r2-16r2-6x16x16");
  const auto decoder = make_vqgan_decoder(
      narrow, {.latent_size = 256 * 5, .latent_map = {5, 16, 16}, .output_shape = {3, 256, 256}, .init = init});
  const auto attentions = [](const torch::nn::Module& network) {
    std::vector<std::string> names;
    for (const auto& item : network.named_parameters()) {
      if (item.key().ends_with("qkv.weight")) names.push_back(item.key());
    }
    return names;
  };
  EXPECT_EQ(attentions(*encoder), (std::vector<std::string>{"sizes.4.attentions.0.qkv.weight", "sizes.4.attentions.1.qkv.weight",
                                                            "middle.attention.qkv.weight"}));
  EXPECT_EQ(attentions(*decoder),
            (std::vector<std::string>{"middle.attention.qkv.weight", "sizes.0.attentions.0.qkv.weight",
                                      "sizes.0.attentions.1.qkv.weight", "sizes.0.attentions.2.qkv.weight"}));
  EXPECT_TRUE(decoder->output_weight().is_same(decoder->named_parameters()["output.weight"]));
}

TEST(Vqgan, KeepsPlacesAndGivesTheImageBack) {
  auto init = init_stream();
  const VqganNetworkConfig config{
      .channels = 4, .multipliers = {1, 2, 2}, .blocks = 1, .attention_size = 0, .norm_groups = 2, .features = 3};
  const auto encoder = make_vqgan_encoder(config, {.input_shape = {1, 8, 12}, .init = init});
  const auto decoder = make_vqgan_decoder(config, {.latent_size = 12, .output_shape = {2, 8, 12}, .init = init});
  const auto x = wavy({2, 1, 8, 12}).to(torch::kFloat);
  const auto features = encoder->forward(x);
  EXPECT_EQ(features.sizes(), Shape({2, 3 * 2 * 3}));
  const auto image = decoder->forward(wavy({2, 12}).to(torch::kFloat));
  EXPECT_EQ(image.sizes(), Shape({2, 2, 8, 12}));
  // An example is normalised by itself.
  expect_close(encoder->forward(x.narrow(0, 1, 1)), features.narrow(0, 1, 1), 1e-4, 1e-5);
}

TEST(Vqgan, TheDecodersFeaturesAreWhatItsLastLayerReads) {
  auto init = init_stream();
  const VqganNetworkConfig config{.channels = 4, .multipliers = {2, 1}, .blocks = 1, .norm_groups = 2};
  const auto decoder = make_vqgan_decoder(config, {.latent_size = 3 * 4 * 6, .output_shape = {2, 8, 12}, .init = init});
  const auto z = wavy({2, 72}).to(torch::kFloat);
  const auto features = decoder->features(z);
  EXPECT_EQ(decoder->feature_channels(), 8);
  EXPECT_EQ(features.sizes(), Shape({2, 8, 8, 12}));
  const auto parameters = decoder->named_parameters();
  const auto last = torch::conv2d(features, parameters["output.weight"], parameters["output.bias"], 1, 1);
  expect_close(decoder->forward(z), last, 1e-5, 1e-6);
  EXPECT_EQ(decoder->output(torch::zeros({1, 8, 3, 5})).sizes(), Shape({1, 2, 3, 5}));  // of any size
}

TEST(Vqgan, SaysWhichSizesFit) {
  auto init = init_stream();
  const auto refusal = [&](auto&& make) -> std::string {
    try {
      make();
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "no error";
  };
  const VqganNetworkConfig config{.channels = 4, .multipliers = {1, 2}, .norm_groups = 2};
  EXPECT_THAT(refusal([&] { make_vqgan_encoder(config, {.input_shape = {1, 7, 8}, .init = init}); }), HasSubstr("got 7 x 8"));
  EXPECT_THAT(refusal([&] {
                make_vqgan_encoder({.channels = 4}, {.input_shape = {1, 16, 16}, .init = init});
              }),
              HasSubstr("choose norm_groups that divides"));
  EXPECT_EQ(
      refusal([&] {
        make_vqgan_decoder(config, {.latent_size = 8, .latent_map = {2, 2, 2}, .output_shape = {1, 8, 8}, .init = init});
      }),
      "vqgan decoder: got latents of shape [2, 2, 2], but it doubles a map of 4 x 4; let encoder and decoder halve and double as "
      "many times");
  EXPECT_EQ(refusal([&] {
              PatchCritic({}, {1, 16, 16}, init);
            }),
            "the critic: 3 layers leave 1x16x16 images no patch; give fewer critic.layers");
}

// Perturbing one pixel outside a score's 70 x 70 leaves that score alone, one at its edge does not.
TEST(PatchCritic, ThreeLayersSeeSeventyPixels) {
  auto init = init_stream();
  PatchCritic critic({.channels = 2, .norm = Norm::none}, {1, 128, 128}, init);
  for (auto& parameter : critic.parameters()) parameter.data().abs_();  // so that nothing cancels
  auto x = torch::ones({1, 1, 128, 128}).requires_grad_();
  const auto scores = critic.forward(x);
  EXPECT_EQ(scores.sizes(), Shape({1, 14, 14}));
  scores.index({0, 7, 7}).backward();
  const auto rows = x.grad()[0][0].ne(0).any(1).nonzero().squeeze(1), columns = x.grad()[0][0].ne(0).any(0).nonzero().squeeze(1);
  EXPECT_EQ(rows.size(0), 70);
  EXPECT_EQ(columns.size(0), 70);
  EXPECT_EQ((rows[-1] - rows[0]).item<int64_t>(), 69);
}

TEST(PatchCritic, IsThePublishedNetwork) {
  auto init = init_stream();
  PatchCritic critic({}, {3, 256, 256}, init);
  std::map<std::string, Shape> shapes;
  for (const auto& item : critic.named_parameters()) shapes[item.key()] = item.value().sizes().vec();
  EXPECT_EQ(shapes, (std::map<std::string, Shape>{{"convs.0.weight", {64, 3, 4, 4}},
                                                  {"convs.0.bias", {64}},
                                                  {"convs.1.weight", {128, 64, 4, 4}},
                                                  {"convs.2.weight", {256, 128, 4, 4}},
                                                  {"convs.3.weight", {512, 256, 4, 4}},
                                                  {"convs.4.weight", {1, 512, 4, 4}},
                                                  {"convs.4.bias", {1}},
                                                  {"norms.0.weight", {128}},
                                                  {"norms.0.bias", {128}},
                                                  {"norms.1.weight", {256}},
                                                  {"norms.1.bias", {256}},
                                                  {"norms.2.weight", {512}},
                                                  {"norms.2.bias", {512}}}));
  const auto parameters = critic.named_parameters();
  EXPECT_NEAR(parameters["convs.3.weight"].std().item<double>(), 0.02, 2e-4);
  EXPECT_NEAR(parameters["convs.3.weight"].mean().item<double>(), 0, 1e-4);
  EXPECT_NEAR(parameters["norms.2.weight"].mean().item<double>(), 1, 5e-3);
  EXPECT_NEAR(parameters["norms.2.weight"].std().item<double>(), 0.02, 3e-3);
}

}  // namespace vqgan_network_test
