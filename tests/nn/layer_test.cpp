#include "elbo/nn/layer.h"

#include "nn/networks.h"

namespace elbo::layer_test {
namespace {

using network_test::after_step;
using network_test::fill;
using network_test::init_stream;

std::shared_ptr<Layer> layer(LayerOptions options) {
  auto init = init_stream();
  const auto made = std::make_shared<Layer>(options, init);
  fill(*made);
  return made;
}

const LayerOptions kLinear{.in = 3, .out = 4};
const LayerOptions kConv{.kind = LayerKind::conv, .in = 2, .out = 3, .kernel = 3, .stride = 2, .padding = 1};
const LayerOptions kTransposed{.kind = LayerKind::transposed_conv, .in = 2, .out = 3, .kernel = 4, .stride = 2, .padding = 1};

LayerOptions with(LayerOptions options, Parametrization parametrization) {
  options.parametrization = parametrization;
  return options;
}

/// [out, everything else].
Tensor matrix(const LayerOptions& options, const Tensor& weight) {
  return weight.transpose(0, options.kind == LayerKind::transposed_conv ? 1 : 0).flatten(1);
}

TEST(Layer, ComputesWhatPyTorchComputesPlainAndNormalised) {
  const auto x = wavy({2, 3}, 0.5), image = wavy({1, 2, 4, 4}, 0.5);
  expect_close(layer(kLinear)->forward(x), values(golden::kLinear, {2, 4}), 1e-12);
  expect_close(layer(kConv)->forward(image), values(golden::kConv, {1, 3, 2, 2}), 1e-12);
  expect_close(layer(kTransposed)->forward(image), values(golden::kTransposed, {1, 3, 8, 8}), 1e-11);
  const auto weight_norm = Parametrization::weight_norm;
  expect_close(layer(with(kLinear, weight_norm))->forward(x), values(golden::kLinearWeightNorm, {2, 4}), 1e-12);
  expect_close(layer(with(kConv, weight_norm))->forward(image), values(golden::kConvWeightNorm, {1, 3, 2, 2}), 1e-12);
  expect_close(layer(with(kTransposed, weight_norm))->forward(image), values(golden::kTransposedWeightNorm, {1, 3, 8, 8}), 1e-11);
}

/// The layer with PyTorch's names and the vectors of the script: u and v are normalised waves.
std::shared_ptr<Layer> spectral(const LayerOptions& options) {
  const auto made = layer(with(options, Parametrization::spectral_norm));
  for (auto& buffer : made->named_buffers()) {
    const auto wave = wavy(buffer.value().sizes(), buffer.key() == "weight_u" ? 0.3 : 0.6);
    buffer.value().copy_(wave / wave.norm());
  }
  return made;
}

TEST(Layer, SpectralNormIsPyTorchsWithThePowerIterationMovedBehindTheStep) {
  const auto x = wavy({2, 3}, 0.5), image = wavy({1, 2, 4, 4}, 0.5);
  const auto linear = spectral(kLinear), conv = spectral(kConv), transposed = spectral(kTransposed);
  expect_close(linear->forward(x), values(golden::kLinearSpectral, {2, 4}), 1e-12);
  expect_close(conv->forward(image), values(golden::kConvSpectral, {1, 3, 2, 2}), 1e-12);
  expect_close(transposed->forward(image), values(golden::kTransposedSpectral, {1, 3, 8, 8}), 1e-11);
  expect_close(linear->forward(x), values(golden::kLinearSpectral, {2, 4}), 1e-12);  // a forward pass moves nothing
  for (const auto& made : {linear, conv, transposed}) after_step(*made);
  expect_close(linear->forward(x), values(golden::kLinearSpectralNext, {2, 4}), 1e-12);
  expect_close(conv->forward(image), values(golden::kConvSpectralNext, {1, 3, 2, 2}), 1e-12);
  expect_close(transposed->forward(image), values(golden::kTransposedSpectralNext, {1, 3, 8, 8}), 1e-11);
}

TEST(Layer, SpectralNormMakesTheLargestSingularValueOne) {
  for (const auto& options : {kLinear, kConv, kTransposed}) {
    const auto made = spectral(options);
    for (int i = 0; i < 200; ++i) after_step(*made);
    const auto singular = torch::linalg_svdvals(matrix(options, made->weight().detach()));
    EXPECT_NEAR(singular.max().item<double>(), 1, 1e-6);
  }
}

TEST(Layer, WeightNormStartsAtThePlainWeightAndItsLengthIsTheNormOfEachOutputUnit) {
  for (const auto& options : {kLinear, kConv, kTransposed}) {
    auto first = init_stream(), second = init_stream();
    Layer plain(options, first), normalised(with(options, Parametrization::weight_norm), second);
    expect_close(normalised.weight(), plain.weight(), 1e-5, 1e-7);
    expect_equal(normalised.bias().detach(), plain.bias().detach());
    const torch::NoGradGuard no_grad;
    auto parameters = normalised.named_parameters();
    parameters["weight_g"].fill_(2);
    parameters["weight_v"].mul_(7);  // its length doesn't matter
    const auto lengths = matrix(options, normalised.weight()).norm(2, 1);
    expect_close(lengths, 2, 1e-5);
  }
}

TEST(Layer, ParametersHaveTheNamesOfPyTorch) {
  using network_test::names_and_shapes;
  using ::testing::ElementsAre;
  EXPECT_THAT(names_and_shapes(*layer(kConv)), ElementsAre("weight [3, 2, 3, 3]", "bias [3]"));
  const auto wn = layer(with(kTransposed, Parametrization::weight_norm));
  EXPECT_THAT(names_and_shapes(*wn), ElementsAre("bias [3]", "weight_g [1, 3, 1, 1]", "weight_v [2, 3, 4, 4]"));
  const auto sn = layer(with(kTransposed, Parametrization::spectral_norm));
  EXPECT_THAT(names_and_shapes(*sn), ElementsAre("bias [3]", "weight_orig [2, 3, 4, 4]"));
  EXPECT_EQ(sn->named_buffers()["weight_u"].sizes(), at::IntArrayRef({3}));
  EXPECT_EQ(sn->named_buffers()["weight_v"].sizes(), at::IntArrayRef({32}));
}

TEST(Layer, StartsWithTheSpreadOfItsInitialisation) {
  auto init = init_stream();
  const auto spread = [&](WeightInit kind) {
    Layer made({.in = 400, .out = 300, .init = kind}, init);
    return std::pair{made.weight().std().item<double>(), made.bias().abs().max().item<double>()};
  };
  EXPECT_NEAR(spread(WeightInit::he_normal).first, std::sqrt(2.0 / 400), 0.001);
  EXPECT_EQ(spread(WeightInit::he_normal).second, 0);
  EXPECT_NEAR(spread(WeightInit::dcgan).first, 0.02, 0.0003);
  EXPECT_EQ(spread(WeightInit::dcgan).second, 0);
  EXPECT_NEAR(spread(WeightInit::xavier_uniform).first, std::sqrt(2.0 / 700), 0.0005);
  EXPECT_NEAR(spread(WeightInit::pytorch).first, 1 / std::sqrt(3 * 400.0), 0.0005);
  EXPECT_GT(spread(WeightInit::pytorch).second, 0);
}

TEST(Layer, RefusesWhatDoesNotFitIntoMemory) {
  auto init = init_stream();
  EXPECT_THROW(Layer({.in = 1 << 24, .out = 1 << 24}, init), ConfigError);
}

}  // namespace
}  // namespace elbo::layer_test
