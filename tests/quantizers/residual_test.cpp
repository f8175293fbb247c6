#include "elbo/quantizers/residual.h"

#include "elbo/base/error.h"
#include "elbo/quantizers/bsq.h"
#include "elbo/quantizers/ema.h"
#include "elbo/quantizers/gumbel.h"
#include "elbo/quantizers/lattice.h"
#include "elbo/quantizers/product.h"
#include "elbo/quantizers/vq.h"
#include "quantizer_steps.h"
#include "support/gradients.h"

namespace elbo::residual_test {

template <class Config>
QuantizerChoice choice_of(const std::string& type, const Config& config) {
  QuantizerChoice choice{quantizers, type};
  choice.set(type, config);
  return choice;
}
QuantizerChoice vq_choice(int64_t codes, int64_t size) { return choice_of("vq", VqConfig{.codes = codes, .code_size = size}); }

std::shared_ptr<Quantizer> residual_of(const ResidualConfig& config) {
  QuantizerSteps steps;
  return make_residual(config, steps.context());
}
Tensor tokens(at::IntArrayRef shape, double phase = 0) { return (wavy(shape, phase) * 1.5).to(torch::kFloat); }

TEST(Residual, TheDecodersGradientPassesOnceHoweverManyLevels) {
  for (const int64_t levels : {1, 2, 8}) {
    for (const bool shared : {false, true}) {
      const auto residual = residual_of({.levels = levels, .quantizer = vq_choice(6, 3), .shared = shared});
      const auto z = tokens({2, 5, 3}).set_requires_grad(true);
      const auto upstream = tokens({2, 5, 3}, 0.3);
      const auto value = QuantizerSteps().forward(*residual, z).value;
      expect_equal(gradient_of(upstream * value, z), upstream);
      EXPECT_FALSE(gradient_of(upstream * value, residual->codebook()).defined());
    }
  }
}

TEST(Residual, TheCommitmentOfEveryLevelReachesTheTokens) {
  const int64_t L = 3, B = 4;
  const double beta = 0.25;
  const auto residual = residual_of({.levels = L, .quantizer = vq_choice(6, 2)});
  const auto z = tokens({B, 5, 2}).set_requires_grad(true);
  const auto quantized = QuantizerSteps().forward(*residual, z);
  auto left = z.detach();
  for (int64_t l = 0; l < L; ++l) {
    const auto index = quantized.indices.select(-1, l);
    const auto code = torch::embedding(residual->codebook(l), index).detach();
    const auto name = "level" + std::to_string(l);
    const auto& commitment = term_of(quantized, name + "/commitment");
    const auto gradient = gradient_of(commitment.weight * commitment.value.mean(), z);
    expect_close(gradient, 2 * beta * (left - code) / static_cast<double>(B * L), 1e-5, 1e-7);
    EXPECT_GT(gradient.abs().max().item<double>(), 1e-3);
    EXPECT_EQ(commitment.elements, 10);
    for (int64_t other = 0; other < L; ++other) {
      const auto of_codes = gradient_of(term_of(quantized, name + "/codebook").value, residual->codebook(other));
      EXPECT_EQ(of_codes.defined(), other == l);
    }
    EXPECT_FALSE(gradient_of(term_of(quantized, name + "/codebook").value, z).defined());
    left = left - code;
    // Lee et al. 2022, eq. 5: the distance to the sum of the codes so far.
    const auto partial = residual->decode(quantized.indices.narrow(-1, 0, l + 1));
    expect_close(commitment.value, (z - partial).square().flatten(1).sum(1) / L, 1e-5);
  }
}

TEST(Residual, OfOneLevelIsItsQuantizer) {
  QuantizerSteps steps;
  const auto vq = make_vq({.codes = 12, .code_size = 4}, steps.context());
  const auto residual = residual_of({.levels = 1, .quantizer = vq_choice(12, 4)});
  const auto z = tokens({3, 5, 4});
  const auto one = QuantizerSteps().forward(*residual, z), other = QuantizerSteps().forward(*vq, z);
  expect_equal(one.value, other.value);
  expect_equal(one.indices, other.indices);
  expect_close(weighted_loss(one), weighted_loss(other), 0);
}

TEST(Residual, TheErrorNeverGrowsWithALevelWhoseCodesHoldZero) {
  const auto residual = residual_of({.levels = 6, .quantizer = vq_choice(8, 3)});
  for (auto& codes : residual->parameters()) codes.data()[0].zero_();
  const auto z = tokens({50, 3});
  const auto indices = residual->encode(z);
  auto before = z.square().sum(1);
  for (int64_t l = 1; l <= 6; ++l) {
    const auto error = (z - residual->decode(indices.narrow(1, 0, l))).square().sum(1);
    EXPECT_TRUE(error.le(before + 1e-6).all().item<bool>()) << l;
    before = error;
  }
  const auto decoded = residual->decode(indices);
  const auto again = residual->decode(residual->encode(decoded));
  EXPECT_LE((again - decoded).square().sum().item<double>(), (z - decoded).square().sum().item<double>());
}

// The best two codes of N(0, 1) leave .36338, two more for what they leave .36338 - .48262^2; four codes at once leave .11748.
TEST(Residual, GreedyLevelsOfANormalLeaveTheKnownErrors) {
  auto vq = VqConfig{.codes = 2, .code_size = 1, .init = CodebookInit::kmeans, .kmeans_iterations = 15};
  const auto residual = residual_of({.levels = 2, .quantizer = choice_of("vq", vq)});
  QuantizerSteps steps;
  const auto z = steps.noise.normal({100'000}, {1});
  steps.initialise(*residual, z);
  const auto indices = residual->encode(z);
  const double first = (z - residual->decode(indices.narrow(1, 0, 1))).square().mean().item<double>();
  const double second = (z - residual->decode(indices)).square().mean().item<double>();
  EXPECT_NEAR(first, 0.36338, 0.003);
  EXPECT_NEAR(second, 0.13045, 0.0015);
  EXPECT_GT(second, 0.11748 + 0.005);
  expect_close(std::get<0>(residual->codebook(1).flatten().sort()), values({-0.48262, 0.48262}), 0.01);
}

TEST(Residual, BitsAddUp) {
  const auto residual = residual_of({.levels = 8, .quantizer = vq_choice(1024, 2)});
  EXPECT_EQ(75 * residual->code_space().bits_per_token(), 75 * 10 * 8);
  EXPECT_EQ(residual->code_space().groups(), 8);
  expect_close(residual->code_length(torch::zeros({2, 3, 8}, torch::kLong)), 3 * 80 * std::log(2.0), 1e-6);
}

TEST(Residual, EvaluationDecodesToTheBit) {
  const auto residual = residual_of({.levels = 4, .quantizer = vq_choice(6, 3), .dropout = 1});
  const auto z = tokens({2, 5, 3});
  const auto quantized = QuantizerSteps().evaluate(*residual, z);
  expect_equal(quantized.value, residual->decode(quantized.indices));
  expect_equal(residual->encode(z), quantized.indices);
  EXPECT_TRUE(quantized.indices.ge(0).all().item<bool>());
}

TEST(Residual, DropoutLeavesLastLevelsOutOfSomeExamples) {
  const int64_t L = 4, B = 4000;
  const auto residual = residual_of({.levels = L, .quantizer = vq_choice(6, 2), .dropout = 0.5});
  const auto z = tokens({B, 3, 2});
  const auto quantized = QuantizerSteps().forward(*residual, z);
  const auto used = quantized.indices.ge(0);
  const auto count = used.select(1, 0).sum(1);                                       // [B]
  expect_equal(used, torch::arange(L).lt(count.view({B, 1, 1})).expand({B, 3, L}));  // the first ones, by whole examples
  const auto share = torch::bincount(count, {}, L + 1).to(torch::kDouble) / B;
  expect_close(share, values({0, 0.125, 0.125, 0.125, 0.625}), 0, 0.03);
  expect_equal(quantized.value, residual->decode(quantized.indices));
  // What is left out costs nothing, and the mean is over the levels that are used.
  auto total = torch::zeros({B});
  for (int64_t l = 0; l < L; ++l) total = total + term_of(quantized, "level" + std::to_string(l) + "/commitment").value;
  auto expected = torch::zeros({B});
  for (int64_t l = 0; l < L; ++l) {
    const auto partial = residual->decode(quantized.indices.narrow(-1, 0, l + 1));
    expected = expected + (z - partial).square().flatten(1).sum(1) * count.gt(l);
  }
  expect_close(total, expected / count, 1e-4, 1e-5);
  expect_close(residual->code_length(quantized.indices), 3 * std::log(6.0) * count, 1e-5);
}

TEST(Residual, TokensThatDoNotCountAreNowhere) {
  const auto residual = residual_of({.levels = 3, .quantizer = vq_choice(6, 2)});
  auto z = tokens({2, 3, 2});
  auto mask = torch::ones({2, 3}, torch::kBool);
  mask[1][2] = false;
  z[1][2].fill_(NAN);
  z.set_requires_grad(true);
  const auto quantized = QuantizerSteps().forward(*residual, z, mask);
  EXPECT_TRUE(quantized.indices[1][2].eq(-1).all().item<bool>());
  expect_equal(quantized.value, residual->decode(quantized.indices));
  const auto alone = QuantizerSteps().forward(*residual, z.detach().narrow(0, 1, 1).narrow(1, 0, 2));
  expect_close(term_of(quantized, "level2/commitment").value[1], term_of(alone, "level2/commitment").value[0], 1e-6);
  expect_finite(gradient_of(weighted_loss(quantized) + quantized.value.sum(), z));
}

TEST(Residual, EachLevelStartsFromWhatTheOthersLeave) {
  const auto residual = residual_of({.levels = 2, .quantizer = choice_of("ema", EmaConfig{.codes = 2, .code_size = 1})});
  QuantizerSteps steps;
  steps.initialise(*residual, floats({9, 11, -9, -11}, {4, 1}));
  expect_close(std::get<0>(residual->codebook(0).flatten().sort()), values({-10, 10}), 1e-6);
  expect_close(std::get<0>(residual->codebook(1).flatten().sort()), values({-1, 1}), 1e-5);
}

TEST(Residual, ASharedQuantizerLearnsFromEveryLevelAtOnce) {
  const auto ema = EmaConfig{.codes = 2, .code_size = 1, .decay = 0, .epsilon = 0, .revival = 0, .init = CodebookInit::normal};
  const auto residual = residual_of({.levels = 2, .quantizer = choice_of("ema", ema), .shared = true});
  EXPECT_EQ(residual->named_buffers().size(), residual->children()[0]->buffers().size());
  set(*residual, "quantizers.0.codes", floats({0, 10}, {2, 1}));
  QuantizerSteps steps;
  steps.forward(*residual, floats({12, 11, -1}, {3, 1}));  // residuals 2, 1, -1 go to code 0 with the token -1
  for (const auto& module : residual->modules(false)) {
    if (auto* child = dynamic_cast<Quantizer*>(module.get())) steps.after_step(*child);
  }
  expect_close(residual->codebook(), values({(2 + 1 - 1 - 1) / 4.0, 11.5}, {2, 1}), 1e-5);
}

TEST(Residual, LevelsMayBeAnyHardQuantizer) {
  const auto z = tokens({2, 4, 8});
  ProductConfig product{.groups = 2, .quantizer = vq_choice(4, 4)};
  for (const auto& choice : {choice_of("bsq", BsqConfig{.code_size = 8}), choice_of("lattice", LatticeConfig{.code_size = 8}),
                             choice_of("product", product)}) {
    const auto residual = residual_of({.levels = 2, .quantizer = choice});
    const auto quantized = QuantizerSteps().evaluate(*residual, z);
    expect_equal(quantized.value, residual->decode(quantized.indices));
    EXPECT_EQ(quantized.indices.size(-1), residual->code_space().groups());
  }
}

TEST(Residual, RefusesWhatLeavesNoResidual) {
  const auto message = [](const ResidualConfig& config) {
    try {
      const auto residual = residual_of(config);
      QuantizerSteps().forward(*residual, torch::zeros({1, residual->code_space().input_size}));
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  EXPECT_EQ(
      message({.quantizer = QuantizerChoice{quantizers, "gaussian_quant"}}).find("quantizer residual: codes must be as large"),
      0u);
  EXPECT_EQ(message({.quantizer = QuantizerChoice{quantizers, "lattice"}, .dropout = 0.5}),
            "quantizer residual: quantizer 'lattice' has no index that says 'left out', so dropout must be 0");
  EXPECT_NE(message({.quantizer = QuantizerChoice{quantizers, "gumbel"}}), "accepted");
}

}  // namespace elbo::residual_test
