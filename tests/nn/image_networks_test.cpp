#include "elbo/math/couples_batch.h"
#include "elbo/nn/conv64.h"
#include "elbo/nn/dcgan.h"
#include "elbo/nn/resnet.h"
#include "nn/networks.h"

namespace elbo::image_networks_test {
namespace {

using network_test::after_step;
using network_test::expect_gradient_everywhere;
using network_test::fill;
using network_test::init_stream;
using network_test::message_of;
using network_test::names_and_shapes;
using ::testing::ElementsAre;

std::shared_ptr<Encoder> conv64_encoder(InnerKernel kernel) {
  auto init = init_stream();
  return make_conv64_encoder({.inner_kernel = kernel}, {.input_shape = {1, 64, 64}, .init = init});
}

std::shared_ptr<Decoder> conv64_decoder() {
  auto init = init_stream();
  return make_conv64_decoder({}, {.latent_size = 2, .output_shape = {3, 64, 64}, .init = init});
}

TEST(Conv64, ParametersHaveTheNamesAndShapesOfTheLiterature) {
  EXPECT_THAT(
      names_and_shapes(*conv64_encoder(InnerKernel::k2)),
      ElementsAre("convs.0.weight [32, 1, 4, 4]", "convs.0.bias [32]", "convs.1.weight [32, 32, 4, 4]", "convs.1.bias [32]",
                  "convs.2.weight [64, 32, 2, 2]", "convs.2.bias [64]", "convs.3.weight [64, 64, 2, 2]", "convs.3.bias [64]",
                  "layers.0.weight [256, 1024]", "layers.0.bias [256]"));
  EXPECT_THAT(
      names_and_shapes(*conv64_decoder()),
      ElementsAre("layers.0.weight [256, 2]", "layers.0.bias [256]", "layers.1.weight [1024, 256]", "layers.1.bias [1024]",
                  "convs.0.weight [64, 64, 4, 4]", "convs.0.bias [64]", "convs.1.weight [64, 32, 4, 4]", "convs.1.bias [32]",
                  "convs.2.weight [32, 32, 4, 4]", "convs.2.bias [32]", "output.weight [32, 3, 4, 4]", "output.bias [3]"));
  EXPECT_EQ(conv64_encoder(InnerKernel::k4)->named_parameters()["convs.3.weight"].sizes(), at::IntArrayRef({64, 64, 4, 4}));
  EXPECT_EQ(conv64_encoder(InnerKernel::k2)->summary(), "1x64x64-32c-32c-64c-64c-256");
  EXPECT_EQ(conv64_decoder()->summary(), "2-256-64x4x4-64c-32c-32c-3x64x64");
}

TEST(Conv64, ComputesWhatPyTorchComputes) {
  for (const auto kernel : {InnerKernel::k2, InnerKernel::k4}) {
    const auto encoder = conv64_encoder(kernel);
    fill(*encoder);
    const auto features = encoder->forward(wavy({1, 1, 64, 64}, 0.5)).flatten().slice(0, 0, at::nullopt, 16);
    expect_close(features, values(kernel == InnerKernel::k2 ? golden::kConv64EncoderK2 : golden::kConv64EncoderK4), 1e-9, 1e-6);
  }
  const auto decoder = conv64_decoder();
  fill(*decoder);
  const auto image = decoder->forward(wavy({1, 2}, 0.5)).flatten().slice(0, 0, at::nullopt, 500);
  expect_close(image, values(golden::kConv64Decoder), 1e-9, 1e-6);
}

TEST(Conv64, RefusesOtherSizes) {
  auto init = init_stream();
  EXPECT_EQ(message_of([&] {
              make_conv64_encoder({}, {.input_shape = {1, 28, 28}, .init = init});
            }),
            "conv64 encoder: takes 64 x 64 images, got 28 x 28; use type: conv for other sizes");
  EXPECT_EQ(message_of([&] { make_conv64_decoder({}, {.latent_size = 2, .output_shape = {784}, .init = init}); }),
            "conv64 decoder: needs images [C, H, W], got [784]; use type: mlp for other data");
}

const DcganEncoderConfig kDcganEncoder{.channels = {2, 3}};
const DcganDecoderConfig kDcganDecoder{.channels = {2, 3}};
const ResnetConfig kResnet{.channels = {2, 3}, .hidden = 4, .activation = Activation::elu};

struct Pair {
  std::shared_ptr<Encoder> encoder = nullptr;
  std::shared_ptr<Decoder> decoder = nullptr;
};

Pair dcgan(const Shape& image = {1, 4, 4}) {
  auto init = init_stream();
  return {make_dcgan_encoder(kDcganEncoder, {.input_shape = image, .init = init}),
          make_dcgan_decoder(kDcganDecoder, {.latent_size = 2, .output_shape = image, .init = init})};
}

Pair resnet(const ResnetConfig& config = kResnet, const Shape& image = {1, 4, 4}) {
  auto init = init_stream();
  return {make_resnet_encoder(config, {.input_shape = image, .init = init}),
          make_resnet_decoder(config, {.latent_size = 2, .output_shape = image, .init = init})};
}

TEST(Dcgan, NormalisesAllButTheFirstAndTheLastAndHasNoFullyConnectedLayer) {
  const auto pair = dcgan({3, 8, 8});
  EXPECT_THAT(names_and_shapes(*pair.encoder),
              ElementsAre("convs.0.weight [2, 3, 4, 4]", "convs.0.bias [2]", "convs.1.weight [3, 2, 4, 4]", "norms.1.weight [3]",
                          "norms.1.bias [3]"));
  EXPECT_THAT(names_and_shapes(*pair.decoder),
              ElementsAre("layers.0.weight [12, 2]", "convs.0.weight [3, 2, 4, 4]", "norms.0.weight [3]", "norms.0.bias [3]",
                          "norms.1.weight [2]", "norms.1.bias [2]", "output.weight [2, 3, 4, 4]", "output.bias [3]"));
  EXPECT_EQ(pair.encoder->num_features(), 12);
  EXPECT_EQ(pair.encoder->summary(), "3x8x8-2c-3c");
  EXPECT_EQ(pair.decoder->summary(), "2-3x2x2-2c-3x8x8");
}

TEST(Dcgan, ComputesWhatPyTorchComputesInTrainingAndEvaluation) {
  const auto pair = dcgan();
  fill(*pair.encoder);
  fill(*pair.decoder);
  const auto x = wavy({2, 1, 4, 4}, 0.5), z = wavy({2, 2}, 0.5);
  expect_close(pair.encoder->forward(x), values(golden::kDcganEncoderTraining, {2, 3}), 1e-9);
  expect_close(pair.decoder->forward(z), values(golden::kDcganDecoderTraining, {2, 1, 4, 4}), 1e-9);
  after_step(*pair.encoder);
  after_step(*pair.decoder);
  pair.encoder->eval();
  pair.decoder->eval();
  expect_close(pair.encoder->forward(x), values(golden::kDcganEncoderEvaluation, {2, 3}), 1e-9);
  expect_close(pair.decoder->forward(z), values(golden::kDcganDecoderEvaluation, {2, 1, 4, 4}), 1e-9);
}

TEST(Resnet, ComputesWhatPyTorchComputesInTrainingAndEvaluation) {
  const auto pair = resnet();
  fill(*pair.encoder);
  fill(*pair.decoder);
  const auto x = wavy({2, 1, 4, 4}, 0.5), z = wavy({2, 2}, 0.5);
  expect_close(pair.encoder->forward(x), values(golden::kResnetEncoderTraining, {2, 4}), 1e-8);
  expect_close(pair.decoder->forward(z), values(golden::kResnetDecoderTraining, {2, 1, 4, 4}), 1e-8);
  after_step(*pair.encoder);
  after_step(*pair.decoder);
  pair.encoder->eval();
  pair.decoder->eval();
  expect_close(pair.encoder->forward(x), values(golden::kResnetEncoderEvaluation, {2, 4}), 1e-8);
  expect_close(pair.decoder->forward(z), values(golden::kResnetDecoderEvaluation, {2, 1, 4, 4}), 1e-8);
}

TEST(Resnet, HasShortcutsWhereSizeOrChannelsChange) {
  const auto pair = resnet({.channels = {2, 3}, .blocks = 2, .hidden = 4}, {1, 8, 8});
  std::vector<std::string> shortcuts;
  for (const auto& name : names_and_shapes(*pair.encoder)) {
    if (name.find("shortcut") != std::string::npos) shortcuts.push_back(name);
  }
  EXPECT_THAT(shortcuts, ElementsAre("blocks.0.shortcut.weight [2, 2, 1, 1]", "blocks.2.shortcut.weight [3, 2, 1, 1]"));
  EXPECT_EQ(pair.encoder->summary(), "1x8x8-2r2-3r2-4");
  EXPECT_EQ(pair.decoder->summary(), "2-4-3x2x2-3r2-2r2-1x8x8");
}

TEST(Resnet, BlocksOfZeroConvolutionsAreTheIdentity) {
  // Pre-activation: nothing stands on the identity path. With conv2 zero, a stage is its first block's shortcut.
  const auto deep = resnet({.channels = {2}, .blocks = 3, .hidden = 4}, {1, 4, 4});
  const auto shallow = resnet({.channels = {2}, .blocks = 1, .hidden = 4}, {1, 4, 4});
  for (const auto& pair : {deep, shallow}) {
    fill(*pair.encoder);
    const torch::NoGradGuard no_grad;
    for (auto& entry : pair.encoder->named_parameters()) {
      const auto& name = entry.key();
      if (name.find("conv2") != std::string::npos) entry.value().zero_();
      if (name.starts_with("layers") || name.starts_with("norm") || name.find("shortcut") != std::string::npos) {
        entry.value().copy_(0.3 * wavy(entry.value().sizes(), 0.1));
      }
    }
  }
  const auto x = wavy({3, 1, 4, 4}, 0.5);
  expect_close(deep.encoder->forward(x), shallow.encoder->forward(x), 1e-12);
}

TEST(ImageNetworks, GradientReachesEveryParameterWithEveryNormAndParametrisation) {
  for (const auto norm : {Norm::none, Norm::batch, Norm::group, Norm::layer}) {
    for (const auto parametrization : {Parametrization::none, Parametrization::weight_norm, Parametrization::spectral_norm}) {
      auto init = init_stream();
      const Shape image = {1, 8, 8};
      const auto x = wavy({6, 1, 8, 8}).to(torch::kFloat), z = wavy({6, 3}).to(torch::kFloat);
      const ResnetConfig config{.channels = {2, 4},
                                .blocks = 1,
                                .hidden = 8,
                                .norm = norm,
                                .norm_groups = 2,
                                .activation = Activation::elu,
                                .parametrization = parametrization};
      const DcganEncoderConfig down{.channels = {2, 4}, .norm = norm, .norm_groups = 2, .parametrization = parametrization};
      const DcganDecoderConfig up{.channels = {2, 4}, .norm = norm, .norm_groups = 2, .parametrization = parametrization};
      for (const auto& encoder : {make_resnet_encoder(config, {.input_shape = image, .init = init}),
                                  make_dcgan_encoder(down, {.input_shape = image, .init = init})}) {
        expect_gradient_everywhere(*encoder, encoder->forward(x));
      }
      for (const auto& decoder : {make_resnet_decoder(config, {.latent_size = 3, .output_shape = image, .init = init}),
                                  make_dcgan_decoder(up, {.latent_size = 3, .output_shape = image, .init = init})}) {
        expect_gradient_everywhere(*decoder, decoder->forward(z));
      }
    }
  }
}

TEST(ImageNetworks, TakeChannelsLastAsWell) {
  for (const auto& pair : {dcgan({3, 8, 8}), resnet(kResnet, {3, 8, 8})}) {
    const auto x = wavy({4, 3, 8, 8}, 0.5).to(torch::kFloat);
    const auto expected = pair.encoder->forward(x);
    expect_close(pair.encoder->forward(x.contiguous(at::MemoryFormat::ChannelsLast)), expected, 1e-4, 1e-5);
  }
}

TEST(ImageNetworks, OnlyBatchNormalisationCouplesTheBatch) {
  const auto couples = [](const torch::nn::Module& module) {
    for (const auto& below : module.modules(/*include_self=*/false)) {
      if (dynamic_cast<const CouplesBatch*>(below.get())) return true;
    }
    return false;
  };
  EXPECT_TRUE(couples(*resnet().encoder));
  EXPECT_TRUE(couples(*dcgan().decoder));
  EXPECT_FALSE(couples(*resnet({.channels = {2}, .norm = Norm::layer}).encoder));
}

TEST(ImageNetworks, RefuseSizesThatDoNotHalve) {
  auto init = init_stream();
  EXPECT_EQ(
      message_of([&] {
        make_dcgan_encoder({}, {.input_shape = {1, 28, 28}, .init = init});
      }),
      "dcgan encoder: 4 channels halve an image 4 times, so height and width must be divisible by 16, got 28 x 28; give fewer "
      "channels");
  EXPECT_EQ(
      message_of([&] {
        make_resnet_decoder({}, {.latent_size = 2, .output_shape = {1, 6, 8}, .init = init});
      }),
      "resnet decoder: 2 channels halve an image 2 times, so height and width must be divisible by 4, got 6 x 8; give fewer "
      "channels");
  EXPECT_THROW(make_resnet_encoder({.norm = Norm::group, .norm_groups = 5}, {.input_shape = {1, 8, 8}, .init = init}),
               ConfigError);
}

}  // namespace
}  // namespace elbo::image_networks_test
