#include "elbo/nn/network.h"

#include "elbo/config/yaml.h"
#include "elbo/nn/conv.h"
#include "elbo/nn/mlp.h"
#include "nn/networks.h"

namespace elbo {
namespace network_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <class Network>
void expect_same_weights(const Network& a, const Network& b) {
  const auto first = a.parameters(), second = b.parameters();
  ASSERT_EQ(first.size(), second.size());
  for (size_t i = 0; i < first.size(); ++i) expect_equal(first[i].detach(), second[i].detach());
}

/// An image, or rows of numbers, that the networks of this name take with their defaults.
Shape shape_for(const std::string& name) {
  if (name == "sequence_transformer") return {3, 4};
  if (name == "residual_conv") return {1, 4, 4};  // the least, where any number of latents is a map
  return name == "conv64" ? Shape{1, 64, 64} : Shape{1, 16, 16};
}

/// Those whose defaults fit small images; tests/conformance walks all of them with settings of their own.
std::vector<std::string> small_networks(const std::vector<std::string>& names) {
  std::vector<std::string> small;
  for (const auto& name : names) {
    if (name != "residual_attention" && name != "space_to_depth" && name != "vqgan") small.push_back(name);
  }
  return small;
}

struct Holder {  // as a model's config has them
  EncoderChoice encoder{encoders, "mlp"};
  DecoderChoice decoder{decoders, "mlp"};

  template <class F>
  void fields(F& field) {
    field("encoder", encoder, "");
    field("decoder", decoder, "");
  }
};

Holder from_yaml(const std::string& yaml) { return read_config<Holder>(parse_yaml(yaml, "a.yaml")); }

TEST(Mlp, ParametersHaveTheNamesOfPyTorch) {
  auto init = init_stream();
  const auto encoder = make_mlp_encoder({.hidden = {5, 3}}, {.input_shape = {1, 2, 2}, .init = init});
  const auto decoder = make_mlp_decoder({.hidden = {5}}, {.latent_size = 2, .output_shape = {1, 2, 2}, .init = init});
  EXPECT_THAT(names_and_shapes(*encoder),
              ElementsAre("layers.0.weight [5, 4]", "layers.0.bias [5]", "layers.1.weight [3, 5]", "layers.1.bias [3]"));
  EXPECT_THAT(names_and_shapes(*decoder),
              ElementsAre("layers.0.weight [5, 2]", "layers.0.bias [5]", "output.weight [4, 5]", "output.bias [4]"));
  EXPECT_EQ(encoder->num_features(), 3);
  EXPECT_EQ(encoder->summary(), "4-5-3");
  EXPECT_EQ(decoder->summary(), "2-5-4");
}

TEST(Mlp, ComputesWhatPyTorchComputes) {
  auto init = init_stream();
  const auto encoder = make_mlp_encoder({.hidden = {3, 2}}, {.input_shape = {1, 2, 2}, .init = init});
  const auto decoder = make_mlp_decoder({.hidden = {3}, .activation = Activation::silu},
                                        {.latent_size = 2, .output_shape = {1, 2, 2}, .init = init});
  fill(*encoder);
  fill(*decoder);
  expect_close(encoder->forward(wavy({2, 1, 2, 2}, 0.5)), values(golden::kMlpEncoder, {2, 2}), 1e-12);
  expect_close(decoder->forward(wavy({2, 2}, 0.5)), values(golden::kMlpDecoder, {2, 1, 2, 2}), 1e-12);
}

TEST(Mlp, WithoutHiddenLayersTheEncoderIsTheFlattenedInputAndTheDecoderIsLinear) {
  auto init = init_stream();
  const auto encoder = make_mlp_encoder({.hidden = {}}, {.input_shape = {1, 2, 3}, .init = init});
  const auto decoder = make_mlp_decoder({.hidden = {}}, {.latent_size = 2, .output_shape = {3}, .init = init});
  EXPECT_EQ(encoder->num_features(), 6);
  EXPECT_TRUE(encoder->parameters().empty());
  const auto x = wavy({2, 1, 2, 3});
  expect_equal(encoder->forward(x), x.reshape({2, 6}));
  EXPECT_THAT(names_and_shapes(*decoder), ElementsAre("output.weight [3, 2]", "output.bias [3]"));
  fill(*decoder);
  const auto weight = decoder->named_parameters()["output.weight"], bias = decoder->named_parameters()["output.bias"];
  expect_close(decoder->forward(wavy({4, 2})), wavy({4, 2}).matmul(weight.t()) + bias, 1e-12);
}

TEST(Mlp, GradientReachesEveryParameter) {
  auto init = init_stream();
  const auto encoder = make_mlp_encoder({.hidden = {5, 3}}, {.input_shape = {4}, .init = init});
  const auto decoder = make_mlp_decoder({.hidden = {5}}, {.latent_size = 2, .output_shape = {4}, .init = init});
  expect_gradient_everywhere(*encoder, encoder->forward(wavy({6, 4}).to(torch::kFloat)));
  expect_gradient_everywhere(*decoder, decoder->forward(wavy({6, 2}).to(torch::kFloat)));
}

TEST(Mlp, RefusesInputOfAnotherShape) {
  auto init = init_stream();
  const auto encoder = make_mlp_encoder({}, {.input_shape = {1, 2, 2}, .init = init});
  EXPECT_THROW(encoder->forward(torch::zeros({2, 4})), ShapeError);
}

TEST(Conv, ParametersHaveTheNamesOfPyTorch) {
  auto init = init_stream();
  const auto encoder = make_conv_encoder({}, {.input_shape = {1, 28, 28}, .init = init});
  const auto decoder = make_conv_decoder({}, {.latent_size = 10, .output_shape = {1, 28, 28}, .init = init});
  EXPECT_THAT(names_and_shapes(*encoder),
              ElementsAre("convs.0.weight [32, 1, 4, 4]", "convs.0.bias [32]", "convs.1.weight [64, 32, 4, 4]",
                          "convs.1.bias [64]", "layers.0.weight [256, 3136]", "layers.0.bias [256]"));
  EXPECT_THAT(
      names_and_shapes(*decoder),
      ElementsAre("layers.0.weight [256, 10]", "layers.0.bias [256]", "layers.1.weight [3136, 256]", "layers.1.bias [3136]",
                  "convs.0.weight [64, 32, 4, 4]", "convs.0.bias [32]", "output.weight [32, 1, 4, 4]", "output.bias [1]"));
  EXPECT_EQ(encoder->num_features(), 256);
  EXPECT_EQ(encoder->summary(), "1x28x28-32c-64c-256");
  EXPECT_EQ(decoder->summary(), "10-256-64x7x7-32c-1x28x28");
}

TEST(Conv, ComputesWhatPyTorchComputes) {
  auto init = init_stream();
  const ConvConfig config{.channels = {2, 3}, .hidden = 4, .activation = Activation::elu};
  const auto encoder = make_conv_encoder(config, {.input_shape = {1, 8, 8}, .init = init});
  const auto decoder = make_conv_decoder(config, {.latent_size = 2, .output_shape = {1, 8, 8}, .init = init});
  fill(*encoder);
  fill(*decoder);
  expect_close(encoder->forward(wavy({2, 1, 8, 8}, 0.5)), values(golden::kConvEncoder, {2, 4}), 1e-11);
  expect_close(decoder->forward(wavy({1, 2}, 0.5)), values(golden::kConvDecoder, {1, 1, 8, 8}), 1e-11);
}

TEST(Conv, TakesImagesThatAreNotSquareAndSeveralChannels) {
  auto init = init_stream();
  const ConvConfig config{.channels = {2}, .hidden = 3};
  const auto encoder = make_conv_encoder(config, {.input_shape = {3, 4, 6}, .init = init});
  const auto decoder = make_conv_decoder(config, {.latent_size = 2, .output_shape = {6, 4, 6}, .init = init});
  EXPECT_EQ(encoder->forward(torch::ones({5, 3, 4, 6})).sizes(), at::IntArrayRef({5, 3}));
  EXPECT_EQ(decoder->forward(torch::ones({5, 2})).sizes(), at::IntArrayRef({5, 6, 4, 6}));
}

TEST(Conv, GradientReachesEveryParameter) {
  auto init = init_stream();
  const ConvConfig config{.channels = {2, 3}, .hidden = 8};
  const auto encoder = make_conv_encoder(config, {.input_shape = {1, 8, 8}, .init = init});
  const auto decoder = make_conv_decoder(config, {.latent_size = 2, .output_shape = {1, 8, 8}, .init = init});
  expect_gradient_everywhere(*encoder, encoder->forward(wavy({6, 1, 8, 8}).to(torch::kFloat)));
  expect_gradient_everywhere(*decoder, decoder->forward(wavy({6, 2}).to(torch::kFloat)));
}

TEST(Conv, RefusesSizesThatDoNotHalve) {
  auto init = init_stream();
  try {
    make_conv_encoder({.channels = {8, 8, 8}}, {.input_shape = {1, 28, 28}, .init = init});
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_STREQ(error.what(),
                 "conv encoder: 3 channels halve an image 3 times, so height and width must be divisible by 8, got 28 x 28; give "
                 "fewer channels");
  }
  try {
    make_conv_decoder({}, {.latent_size = 2, .output_shape = {784}, .init = init});
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_STREQ(error.what(), "conv decoder: needs images [C, H, W], got [784]; use type: mlp for other data");
  }
}

TEST(Networks, SameSeedSameBitsWhateverTheDefaultGeneratorDid) {
  for (const auto& name : small_networks(encoders().names())) {
    SCOPED_TRACE(name);
    auto first = init_stream(7), second = init_stream(7), other = init_stream(8);
    const Shape shape = shape_for(name);
    const auto a = encoders().make(name, {.input_shape = shape, .init = first});
    torch::rand({3});
    const auto b = encoders().make(name, {.input_shape = shape, .init = second});
    const auto c = encoders().make(name, {.input_shape = shape, .init = other});
    expect_same_weights(*a, *b);
    EXPECT_FALSE(a->parameters()[0].equal(c->parameters()[0]));
  }
  for (const auto& name : small_networks(decoders().names())) {
    SCOPED_TRACE(name);
    auto first = init_stream(7), second = init_stream(7);
    const Shape shape = shape_for(name);
    const auto a = decoders().make(name, {.latent_size = 3, .output_shape = shape, .init = first});
    torch::rand({3});
    const auto b = decoders().make(name, {.latent_size = 3, .output_shape = shape, .init = second});
    expect_same_weights(*a, *b);
  }
}

TEST(Networks, BuildingOneLeavesTheDefaultGeneratorAlone) {
  for (const auto& name : small_networks(encoders().names())) {
    torch::manual_seed(5);
    const auto expected = torch::rand({4});
    torch::manual_seed(5);
    auto init = init_stream();
    const Shape shape = shape_for(name);
    encoders().make(name, {.input_shape = shape, .init = init});
    decoders().make(name, {.latent_size = 3, .output_shape = shape, .init = init});
    expect_equal(torch::rand({4}), expected);
  }
}

TEST(Networks, AreBuiltFromAConfig) {
  auto init = init_stream();
  const auto holder = from_yaml(
      "encoder: {type: conv, channels: [4], hidden: 6, activation: gelu}\n"
      "decoder: {type: mlp, hidden: [], init: pytorch}\n");
  EXPECT_EQ(holder.encoder.make({.input_shape = {1, 4, 4}, .init = init})->summary(), "1x4x4-4c-6");
  EXPECT_EQ(holder.decoder.make({.latent_size = 2, .output_shape = {9}, .init = init})->summary(), "2-9");
}

TEST(Networks, RefuseBadOptionsByLine) {
  try {
    from_yaml("encoder: {type: mlp, hidden: [200, 0]}\ndecoder: {type: conv, channels: [], actvation: relu}\n");
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("a.yaml:1: encoder.hidden[1]: must be "));
    EXPECT_THAT(error.what(), HasSubstr("a.yaml:2: decoder.channels: "));
    EXPECT_THAT(error.what(), HasSubstr("did you mean 'activation'?"));
  }
}

TEST(Networks, NormaliseTheirWeightsWhenAsked) {
  auto init = init_stream();
  const auto holder = from_yaml(
      "encoder: {type: conv, channels: [2], hidden: 3, parametrization: spectral_norm}\n"
      "decoder: {type: mlp, hidden: [5], parametrization: weight_norm}\n");
  EXPECT_THAT(
      names_and_shapes(*holder.encoder.make({.input_shape = {1, 4, 4}, .init = init})),
      ElementsAre("convs.0.bias [2]", "convs.0.weight_orig [2, 1, 4, 4]", "layers.0.bias [3]", "layers.0.weight_orig [3, 8]"));
  EXPECT_THAT(names_and_shapes(*holder.decoder.make({.latent_size = 2, .output_shape = {4}, .init = init})),
              ElementsAre("layers.0.bias [5]", "layers.0.weight_g [5, 1]", "layers.0.weight_v [5, 2]", "output.bias [4]",
                          "output.weight_g [4, 1]", "output.weight_v [4, 5]"));
}

TEST(OutputBias, IsWrittenByElementOrByChannel) {
  auto init = init_stream();
  const auto mlp = make_mlp_decoder({.hidden = {}}, {.latent_size = 2, .output_shape = {1, 2, 2}, .init = init});
  const auto bias = values({1, 2, 3, 6}, {1, 2, 2}).to(torch::kFloat);
  set_output_bias(*mlp, bias);
  expect_close(mlp->forward(torch::zeros({1, 2})), bias.unsqueeze(0).to(torch::kDouble), 1e-7);
  const auto conv =
      make_conv_decoder({.channels = {2}, .hidden = 3}, {.latent_size = 2, .output_shape = {1, 2, 2}, .init = init});
  set_output_bias(*conv, bias);
  expect_close(conv->output_bias(), values({3}), 1e-7);
  EXPECT_TRUE(conv->output_bias().requires_grad());
  EXPECT_THROW(set_output_bias(*mlp, torch::zeros({5})), ShapeError);
}

TEST(Activation, IsWhatItsNameSays) {
  const auto x = values({-2, -0.5, 0, 1.5});
  const auto e = x.exp();
  expect_close(activate(x, Activation::relu), values({0, 0, 0, 1.5}));
  expect_close(activate(x, Activation::tanh), (e - 1 / e) / (e + 1 / e), 1e-12);
  expect_close(activate(x, Activation::elu), values({std::exp(-2) - 1, std::exp(-0.5) - 1, 0, 1.5}), 1e-12);
  expect_close(activate(x, Activation::silu), x * e / (1 + e), 1e-12);
  expect_close(activate(x, Activation::gelu), x * 0.5 * (1 + torch::erf(x / std::sqrt(2.0))), 1e-12);
  expect_close(activate(x, Activation::leaky_relu), values({-0.02, -0.005, 0, 1.5}), 1e-12);
  expect_close(activate(x, Activation::sigmoid), e / (1 + e), 1e-12);
}

}  // namespace
}  // namespace network_test
}  // namespace elbo
