#include "elbo/quantizers/vq.h"

#include "elbo/math/precision.h"
#include "elbo/quantizers/tokens.h"
#include "quantizer_steps.h"
#include "support/gradients.h"

namespace elbo::vq_test {

std::shared_ptr<Quantizer> vq_of(const Tensor& codes, VqConfig config = {}) {
  QuantizerSteps steps;
  config.codes = codes.size(0);
  config.code_size = codes.size(1);
  auto vq = make_vq(config, steps.context());
  set(*vq, "codes", codes);
  return vq;
}

// z = 2 lies at distance 1 from code 1 and 2 from code 4.
TEST(Vq, OneTokenInNumbers) {
  const auto vq = vq_of(floats({1, 4}, {2, 1}));
  const auto z = floats({2}, {1, 1}).set_requires_grad(true);
  const auto quantized = QuantizerSteps().forward(*vq, z);
  EXPECT_EQ(quantized.indices.item<int64_t>(), 0);
  EXPECT_EQ(quantized.value.item<double>(), 1);
  expect_close(term_of(quantized, "codebook").value, 1.0, 0);
  expect_close(term_of(quantized, "commitment").value, 1.0, 0);
  EXPECT_EQ(term_of(quantized, "commitment").weight.item<double>(), 0.25);
  EXPECT_EQ(term_of(quantized, "codebook").weight.item<double>(), 1);

  const double upstream = 7;
  const auto loss = weighted_loss(quantized) + upstream * quantized.value.sum();
  const auto gradients = torch::autograd::grad({loss}, {z, vq->codebook()});
  expect_close(gradients[0], 0.5 + upstream, 0);
  expect_close(gradients[1], values({-2, 0}, {2, 1}), 0);
}

TEST(Vq, TheCodebookTermMovesOnlyCodesTheCommitmentTermOnlyTokens) {
  const auto vq = vq_of(wavy({5, 3}).to(torch::kFloat));
  const auto z = wavy({2, 4, 3}, 0.4).to(torch::kFloat).set_requires_grad(true);
  const auto quantized = QuantizerSteps().forward(*vq, z);
  const auto codes = vq->codebook();
  const auto codebook = term_of(quantized, "codebook").value, commitment = term_of(quantized, "commitment").value;
  EXPECT_FALSE(gradient_of(codebook, z).defined());
  EXPECT_FALSE(gradient_of(commitment, codes).defined());
  const auto chosen = codes.index_select(0, quantized.indices.flatten()).view(z.sizes());
  expect_close(gradient_of(commitment, z), 2 * (z - chosen), 1e-6, 1e-7);
  expect_close(gradient_of(codebook, codes),
               torch::zeros({5, 3}).index_add(0, quantized.indices.flatten(), (2 * (chosen - z)).view({-1, 3})), 1e-5, 1e-6);
}

TEST(Vq, TheDecodersGradientPassesUnchangedAndReachesNoCode) {
  const auto vq = vq_of(wavy({5, 3}).to(torch::kFloat));
  const auto z = wavy({2, 4, 3}, 0.4).to(torch::kFloat).set_requires_grad(true);
  const auto quantized = QuantizerSteps().forward(*vq, z);
  const auto upstream = wavy({2, 4, 3}, 0.9).to(torch::kFloat);
  expect_equal(gradient_of(upstream * quantized.value, z), upstream);
  EXPECT_FALSE(gradient_of(upstream * quantized.value, vq->codebook()).defined());
}

TEST(Vq, TermsAreSumsOverTokensAndNumbersOfEachExample) {
  const auto vq = vq_of(floats({0, 0, 10, 10}, {2, 2}));
  const auto z = floats({1, 2, 9, 9, 0, 3, 10, 10}, {2, 2, 2});
  const auto quantized = QuantizerSteps().forward(*vq, z);
  for (const auto* name : {"codebook", "commitment"}) {
    expect_close(term_of(quantized, name).value, values({5 + 2, 9 + 0}), 0);
    EXPECT_EQ(term_of(quantized, name).elements, 4);
  }
}

TEST(Vq, ATokenThatDoesNotCountAddsNothing) {
  const auto vq = vq_of(floats({0, 0, 10, 10}, {2, 2}));
  auto z = floats({1, 2, 9, 9, 0, 3, 10, 10}, {2, 2, 2});
  const auto mask = torch::tensor({1, 0, 1, 1}).to(torch::kBool).view({2, 2});
  z[0][1].fill_(NAN);
  z.set_requires_grad(true);
  const auto quantized = QuantizerSteps().forward(*vq, z, mask);
  expect_close(term_of(quantized, "commitment").value, values({5, 9}), 0);
  expect_equal(quantized.indices.squeeze(-1), torch::tensor({0, -1, 0, 1}).view({2, 2}));
  expect_equal(quantized.value, vq->decode(quantized.indices));
  const auto gradient = gradient_of(weighted_loss(quantized) + quantized.value.sum(), vq->codebook());
  expect_close(gradient, values({-2 * 1 - 2 * 0, -2 * 2 - 2 * 3, 0, 0}, {2, 2}), 0);
}

TEST(Vq, TheScaleOfRotationsIsThatOfTokensThatCount) {
  const auto vq = vq_of(floats({0, 2, 12, 0}, {2, 2}), {.gradient = GradientEstimator::rotation});
  const auto z = floats({0, 1, NAN, 9, 0, 4, 10, 0}, {2, 2, 2});
  const auto mask = torch::tensor({1, 0, 1, 1}).to(torch::kBool).view({2, 2});
  const auto quantized = QuantizerSteps().forward(*vq, z, mask);
  expect_close(reading_of(quantized, "rotation_scale"), (2 + 0.5 + 1.2) / 3, 1e-6);
  expect_close(reading_of(quantized, "rotation_clamped"), 0);
}

TEST(Vq, AFullGradientStepAtHalfTheBatchOverTheCountIsOneStepOfKMeans) {
  const auto codes = wavy({4, 3}).to(torch::kFloat);
  const auto vq = vq_of(codes);
  const int64_t B = 60;
  const auto z = wavy({B, 3}, 0.4).to(torch::kFloat) * 2;
  const auto quantized = QuantizerSteps().forward(*vq, z);
  const auto gradient = torch::autograd::grad({term_of(quantized, "codebook").value.mean()}, {vq->codebook()})[0];
  const auto index = quantized.indices.flatten();
  for (int64_t v = 0; v < 4; ++v) {
    const auto own = z.index_select(0, (index == v).nonzero().squeeze(1));
    ASSERT_GT(own.size(0), 0);
    const double rate = 0.5 * static_cast<double>(B) / static_cast<double>(own.size(0));
    expect_close(codes[v] - rate * gradient[v], own.mean(0), 1e-5, 1e-6);
  }
}

TEST(Vq, ByCosineTheDirectionChoosesAndTheValueKeepsItsLength) {
  const auto codes = floats({5, 0, 0.1, 0.1}, {2, 2});
  const auto vq = vq_of(codes, {.metric = CodeMetric::cosine});
  const auto z = floats({2, 1.9, 0.2, 0}, {2, 2});
  const auto quantized = QuantizerSteps().forward(*vq, z);
  expect_equal(quantized.indices.flatten(), torch::tensor({1, 0}));
  expect_equal(vq_of(codes)->encode(z).flatten(), torch::tensor({1, 1}));
  expect_equal(quantized.value, codes.index_select(0, torch::tensor({1, 0})));
  expect_close(term_of(quantized, "commitment").value[1], 4.8 * 4.8, 1e-6);
}

TEST(Vq, CodesStartWhereTheyAreTold) {
  QuantizerSteps steps;
  const auto uniform = make_vq({.codes = 100, .code_size = 50, .init = CodebookInit::uniform}, steps.context())->codebook();
  EXPECT_LE(uniform.abs().max().item<double>(), 0.01);
  EXPECT_NEAR(uniform.square().mean().sqrt().item<double>(), 0.01 / std::sqrt(3), 2e-4);
  const auto normal = make_vq({.codes = 100, .code_size = 50}, steps.context())->codebook();
  EXPECT_NEAR(normal.square().mean().item<double>(), 1, 0.06);
  EXPECT_NEAR(normal.mean().item<double>(), 0, 0.04);
}

TEST(Vq, KMeansOfTheFirstBatchReplacesTheCodesInPlace) {
  QuantizerSteps steps;
  const auto vq = make_vq({.codes = 2, .code_size = 1, .init = CodebookInit::kmeans}, steps.context());
  const auto* where = vq->codebook().data_ptr();
  steps.initialise(*vq, floats({0, 1, 10, 12}, {4, 1}));
  expect_close(std::get<0>(vq->codebook().flatten().sort()), values({0.5, 11}), 1e-6);
  EXPECT_EQ(vq->codebook().data_ptr(), where);
}

TEST(Vq, CodesAreChosenInFullPrecisionUnderAutocast) {
  const auto vq = vq_of(floats({1, 1.001}, {2, 1}));
  const auto z = floats({1.0009}, {1, 1});
  const Bfloat16Scope scope(at::kCPU);
  EXPECT_EQ(vq->encode(z).item<int64_t>(), 1);
  const auto quantized = QuantizerSteps().forward(*vq, z.to(torch::kBFloat16));
  EXPECT_EQ(quantized.value.scalar_type(), torch::kFloat);
}

TEST(Vq, TheWeightsFollowTheirSchedules) {
  QuantizerSteps steps;
  const auto vq = make_vq({.commitment = scheduled_number(0.094), .codebook_weight = scheduled_number(0.375)}, steps.context());
  const auto scheduled = vq->scheduled();
  ASSERT_EQ(scheduled.size(), 2u);
  EXPECT_NEAR(scheduled[0].value(), 0.094, 1e-12);
  const auto quantized = steps.forward(*vq, torch::zeros({1, 64}));
  EXPECT_TRUE(term_of(quantized, "commitment").weight.is_same(scheduled[0].tensor()));
  EXPECT_TRUE(term_of(quantized, "codebook").weight.is_same(scheduled[1].tensor()));
}

// A port's loss averages over everything: mean of the reconstruction's P numbers plus mean of both terms' T D numbers. Times P it
// is the sum with both terms' weights multiplied by P / (T D), the commitment's and the codebook's.
TEST(Vq, ALossOfMeansIsOneFactorFromTheConvertedSum) {
  const int64_t P = 6, T = 2, D = 2, B = 20;
  const double factor = static_cast<double>(P) / static_cast<double>(T * D);
  const auto x = wavy({B, P}, 0.3).to(torch::kFloat);
  const auto gradients = [&](double weight, bool means) {
    QuantizerSteps steps;
    const auto vq = make_vq(
        {.codes = 5, .code_size = D, .commitment = scheduled_number(0.25 * weight), .codebook_weight = scheduled_number(weight)},
        steps.context());
    const auto encoder = wavy({T * D, P}, 0.7).to(torch::kFloat).set_requires_grad(true);
    const auto decoder = wavy({P, T * D}, 0.2).to(torch::kFloat).set_requires_grad(true);
    const auto quantized = steps.forward(*vq, torch::linear(x, encoder).view({B, T, D}));
    const auto error = (torch::linear(quantized.value.flatten(1), decoder) - x).square();
    const auto terms = weighted_loss(quantized) / B;
    const auto loss = means ? error.mean() + terms / static_cast<double>(T * D) : error.sum() / B + terms;
    return torch::autograd::grad({loss}, {encoder, decoder, vq->codebook()});
  };
  const auto port = gradients(1, true), nats = gradients(factor, false);
  for (size_t i = 0; i < port.size(); ++i) expect_close(nats[i], static_cast<double>(P) * port[i], 1e-5, 1e-5);
}

TEST(Vq, TokensOfAnotherSizeAreRefused) {
  const auto vq = vq_of(wavy({5, 3}).to(torch::kFloat));
  try {
    vq->encode(torch::zeros({2, 3, 7, 7}));
    FAIL();
  } catch (const std::exception& error) {
    EXPECT_STREQ(error.what(), "vq: got tokens of shape [2, 3, 7, 7], expected [B, ..., 3], channels last");
  }
}

TEST(Vq, CodesCostTheirUniformPriorBeforeOneIsLearnt) {
  const auto vq = vq_of(wavy({5, 3}).to(torch::kFloat));
  const auto indices = vq->encode(wavy({2, 7, 3}).to(torch::kFloat));
  expect_close(vq->code_length(indices), 7 * std::log(5.0), 1e-6);
  EXPECT_NEAR(vq->code_space().bits_per_token(), std::log2(5.0), 1e-12);
}

}  // namespace elbo::vq_test
