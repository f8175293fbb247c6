#include "elbo/quantizers/lattice.h"

#include <torch/optim/adam.h>

#include "quantizer_steps.h"
#include "support/gradients.h"

namespace elbo::lattice_test {

std::shared_ptr<Quantizer> lattice_of(const std::vector<double>& cells, LatticeConfig config = {}) {
  config.code_size = static_cast<int64_t>(cells.size());
  auto lattice = make_lattice(config, QuantizerSteps().context());
  set(*lattice, "cells", values(cells).to(torch::kFloat));
  return lattice;
}
Tensor cells_of(Quantizer& lattice) { return lattice.named_parameters()["cells"]; }

TEST(Lattice, ATokenGoesToTheNearestPointAtMostHalfACellAway) {
  const auto lattice = lattice_of({0.5, -2, 3});
  const auto z = floats({0.7, 4.9, -1.4, -0.8, 0.9, 8}, {2, 3});
  const auto quantized = QuantizerSteps().forward(*lattice, z);
  expect_equal(quantized.indices, torch::tensor({1, -2, 0, -2, 0, 3}).view({2, 3}));
  expect_close(quantized.value, values({0.5, 4, 0, -1, 0, 9}, {2, 3}), 1e-6);
  const auto many = (wavy({500, 3}) * 40).to(torch::kFloat);
  const auto error = (QuantizerSteps().forward(*lattice, many).value - many).abs();
  EXPECT_TRUE(error.le(floats({0.25, 1, 1.5}, {3}) + 1e-5).all().item<bool>());
}

TEST(Lattice, TheErrorOfUniformTokensIsATwelfthOfTheCellSquared) {
  const auto lattice = lattice_of({0.5});
  QuantizerSteps steps;
  const auto z = (steps.noise.uniform({200'000}, {1}) - 0.5) * 40;
  EXPECT_NEAR((lattice->decode(lattice->encode(z)) - z).square().mean().item<double>(), 0.02083, 2e-4);
}

TEST(Lattice, PointsStayAndTheSignOfACellDoesNotMatter) {
  const auto lattice = lattice_of({0.3, 1.7, 0.01}), mirrored = lattice_of({-0.3, 1.7, -0.01});
  const auto indices = (wavy({200, 3}) * 1000).round().to(torch::kLong);
  expect_equal(lattice->encode(lattice->decode(indices)), indices);
  const auto z = (wavy({50, 3}) * 9).to(torch::kFloat);
  expect_close(mirrored->decode(mirrored->encode(z)), lattice->decode(lattice->encode(z)), 1e-6);
}

TEST(Lattice, TheGradientOfTheCellsIsTheFormula) {
  const double gamma = 0.3;
  const auto lattice = lattice_of({0.5, -2, 3}, {.size = scheduled_number(gamma)});
  const auto cells = cells_of(*lattice);
  const int64_t B = 4;
  const auto z = (wavy({B, 5, 3}) * 7).to(torch::kFloat).set_requires_grad(true);
  const auto quantized = QuantizerSteps().forward(*lattice, z);
  const auto upstream = wavy({B, 5, 3}).to(torch::kFloat);
  const auto loss = weighted_loss(quantized) / B + (upstream * quantized.value).sum();
  const auto gradients = torch::autograd::grad({loss}, {cells, z});
  const auto k = quantized.indices.to(torch::kFloat);
  const auto q = quantized.value.detach();
  expect_close(gradients[0], 2.0 / B * (k * (q - z)).flatten(0, 1).sum(0) - gamma * cells.sign(), 1e-5, 1e-5);
  expect_close(gradients[1], upstream + 0.25 * 2.0 / B * (z - q), 1e-5, 1e-6);
  EXPECT_EQ(term_of(quantized, "size").value.sizes(), Shape({B}));
  EXPECT_EQ(term_of(quantized, "codebook").elements, 15);
  EXPECT_EQ(term_of(quantized, "size").elements, 1);
}

TEST(Lattice, EachTermMovesItsOwnSideOnly) {
  const auto lattice = lattice_of({0.5, 2});
  const auto z = (wavy({3, 2}) * 5).to(torch::kFloat).set_requires_grad(true);
  const auto quantized = QuantizerSteps().forward(*lattice, z);
  EXPECT_FALSE(gradient_of(term_of(quantized, "codebook").value, z).defined());
  EXPECT_FALSE(gradient_of(term_of(quantized, "commitment").value, cells_of(*lattice)).defined());
  EXPECT_FALSE(gradient_of(quantized.value, cells_of(*lattice)).defined());
}

TEST(Lattice, TheSizeTermAloneGrowsCellsByTheLearningRate) {
  const auto lattice = lattice_of({0.5, -2});
  const auto quantized = QuantizerSteps().forward(*lattice, torch::zeros({8, 2}));
  const auto& size = term_of(quantized, "size");
  const auto gradient = torch::autograd::grad({(size.weight * size.value).mean()}, {cells_of(*lattice)})[0];
  expect_close(cells_of(*lattice) - 0.01 * gradient, values({0.51, -2.01}), 1e-6);
}

TEST(Lattice, ACellThatReachesZeroKeepsASizeAndItsGradient) {
  const auto lattice = lattice_of({0, -1e-7, 1});
  const auto z = floats({3e-4, 3e-4, 1}, {1, 3});
  const auto quantized = QuantizerSteps().forward(*lattice, z);
  expect_equal(quantized.indices, torch::tensor({3, -3, 1}).view({1, 3}));
  expect_finite(quantized.value);
  const auto gradient = gradient_of(term_of(quantized, "size").value, cells_of(*lattice));
  expect_close(gradient, values({-1, 1, -1}), 0);
}

TEST(Lattice, CoordinatesCostTheirUniversalCode) {
  const auto lattice = lattice_of({1, 1});
  const auto nats_of = [&](int64_t k) { return lattice->code_length(torch::tensor({k, k}).view({1, 2})).item<double>() / 2; };
  const double bit = std::log(2.0);
  EXPECT_NEAR(nats_of(0), bit, 1e-6);
  EXPECT_NEAR(nats_of(-1), 3 * bit, 1e-6);
  EXPECT_NEAR(nats_of(1), 3 * bit, 1e-6);
  EXPECT_NEAR(nats_of(-2), 5 * bit, 1e-5);
  EXPECT_NEAR(nats_of(3), 5 * bit, 1e-5);
  EXPECT_NEAR(nats_of(-4), 7 * bit, 1e-5);
  // Zigzag numbers 1 to 2^20 - 1 have all codes of up to 39 bits: their probability lacks 2^-20 of one.
  const auto k = torch::arange(-(1 << 19) + 1, 1 << 19).unsqueeze(1);
  const auto probability = (-lattice_of({1})->code_length(k).to(torch::kDouble)).exp().sum().item<double>();
  EXPECT_NEAR(probability, 1 - std::exp2(-20), 1e-7);
}

TEST(Lattice, HasNoBoundAndStartsAsTold) {
  QuantizerSteps steps;
  const auto sparse = make_lattice({}, steps.context());
  EXPECT_FALSE(sparse->code_space().bounded());
  EXPECT_EQ(sparse->code_space().groups(), 64);
  EXPECT_NEAR(1 / (std::pow(512, 1.0 / 64) - 1), 9.767, 1e-3);
  const auto largest = cells_of(*sparse).abs().max().item<double>();
  EXPECT_LT(largest, 9.767);
  EXPECT_GT(largest, 8);
  const auto dense = cells_of(*make_lattice({.init = LatticeInit::dense}, steps.context())).abs().max().item<double>();
  EXPECT_LE(dense, 1);
  EXPECT_GT(dense, 0.8);
}

TEST(Lattice, ATokenThatDoesNotCountIsAtTheOrigin) {
  const auto lattice = lattice_of({0.5, 2});
  auto z = (wavy({2, 2, 2}) * 5).to(torch::kFloat);
  const auto full = QuantizerSteps().forward(*lattice, z.narrow(1, 0, 1));
  z.select(1, 1).fill_(NAN);
  z.set_requires_grad(true);
  const auto mask = torch::tensor({1, 0, 1, 0}).to(torch::kBool).view({2, 2});
  const auto quantized = QuantizerSteps().forward(*lattice, z, mask);
  EXPECT_EQ(quantized.indices.select(1, 1).abs().sum().item<int64_t>(), 0);
  expect_equal(quantized.value, lattice->decode(quantized.indices));
  expect_close(weighted_loss(quantized), weighted_loss(full), 1e-6);
  expect_finite(gradient_of(weighted_loss(quantized) + quantized.value.sum(), z));
}

// 64 clusters about 3 in eight dimensions, codebook terms as means: the larger the size's weight, the fewer points are used.
TEST(SlowLattice, FewerPointsAreUsedAsTheSizeWeighsMore) {
  QuantizerSteps data;
  const auto centres = data.noise.normal({64}, {8});
  const auto tokens = [&](int64_t n) {
    const auto which = (data.noise.uniform({n}, {}) * 64).to(torch::kLong);
    return 3 + centres.index_select(0, which) + 0.1 * data.noise.normal({n}, {8});
  };
  const auto fresh = tokens(8192);
  std::vector<int64_t> used;
  for (const double gamma : {-1.0, 0.0, 0.1, 1.0}) {
    QuantizerSteps steps;
    const auto lattice = make_lattice({.code_size = 8, .codes = 256, .init = LatticeInit::dense, .size = scheduled_number(gamma)},
                                      steps.context());
    torch::optim::Adam adam(lattice->parameters(), torch::optim::AdamOptions(1e-2));
    for (int step = 0; step < 300; ++step) {
      const auto z = tokens(512);
      const auto quantized = steps.forward(*lattice, z);
      adam.zero_grad();
      const auto& size = term_of(quantized, "size");
      const auto loss = term_of(quantized, "codebook").value.mean() / 8 + (size.weight * size.value).mean();
      loss.backward();
      adam.step();
    }
    used.push_back(std::get<0>(torch::unique_dim(lattice->encode(fresh), 0)).size(0));
  }
  for (size_t i = 1; i < used.size(); ++i) EXPECT_LE(used[i], used[i - 1]) << ::testing::PrintToString(used);
  EXPECT_LT(used.back(), used.front() / 4) << ::testing::PrintToString(used);
  ::testing::Test::RecordProperty("points", ::testing::PrintToString(used));
}

}  // namespace elbo::lattice_test
