#include <cmath>

#include "elbo/base/error.h"
#include "elbo/math/couples_batch.h"
#include "elbo/quantizers/bsq.h"
#include "elbo/quantizers/lfq.h"
#include "quantizer_steps.h"
#include "support/gradients.h"

namespace elbo::sign_codes_test {

std::shared_ptr<Quantizer> lfq_of(const LfqConfig& config) { return make_lfq(config, QuantizerSteps().context()); }
std::shared_ptr<Quantizer> bsq_of(const BsqConfig& config) { return make_bsq(config, QuantizerSteps().context()); }

Tensor wavy_floats(at::IntArrayRef shape, double scale = 1, double phase = 0) {
  return (wavy(shape, phase) * scale).to(torch::kFloat);
}

double entropy(const Tensor& p) { return -(p * p.log()).nan_to_num(0).sum().item<double>(); }

/// p(c | token) over all codes by the definition, softmax of -|z - c|^2 / temperature, [N, 2^D].
Tensor assignment(const Tensor& tokens, const Tensor& codes, double temperature) {
  const auto z = tokens.to(torch::kDouble).unsqueeze(1), c = codes.to(torch::kDouble).unsqueeze(0);
  return torch::softmax(-(z - c).square().sum(-1) / temperature, 1);
}

TEST(Lfq, BitsAreTheSignsFirstBitHighestAndZeroIsMinus) {
  const auto lfq = lfq_of({.code_size = 3});
  const auto z = floats({0.5, -2, 1, -1, 0, 3, -1, -1, -1}, {3, 3});
  expect_equal(lfq->encode(z).flatten(), torch::tensor({5, 1, 0}));
  expect_equal(QuantizerSteps().forward(*lfq, z).value, floats({1, -1, 1, -1, -1, 1, -1, -1, -1}, {3, 3}));
  expect_equal(lfq->codebook(), lfq->decode(torch::arange(8).unsqueeze(1)));
}

TEST(Lfq, TheEntropiesEqualThoseOverAllCodes) {
  const double temperature = 1.7;
  for (const int64_t entropy_bits : {8, 9}) {
    const auto lfq = lfq_of({.code_size = 8, .temperature = scheduled_number(temperature), .entropy_bits = entropy_bits});
    const auto z = wavy_floats({2, 5, 8});
    const auto quantized = QuantizerSteps().forward(*lfq, z);
    const auto p = assignment(z.view({10, 8}), lfq->codebook(), temperature);
    const auto of_token = -(p * p.log()).sum(1).view({2, 5});
    expect_close(term_of(quantized, "token_entropy").value, of_token.sum(1), 1e-5);
    EXPECT_NEAR(term_of(quantized, "batch_entropy").value.item<double>(), 5 * entropy(p.mean(0)), 1e-4);
    EXPECT_EQ(term_of(quantized, "token_entropy").elements, 5);
  }
}

TEST(Lfq, BlocksOfBitsBoundTheBatchsEntropyFromAbove) {
  const auto z = wavy_floats({40, 8}, 2);
  double smaller = 0;
  for (const int64_t entropy_bits : {8, 4, 3, 1}) {
    const auto lfq = lfq_of({.code_size = 8, .temperature = scheduled_number(1), .entropy_bits = entropy_bits});
    const double bound = term_of(QuantizerSteps().forward(*lfq, z), "batch_entropy").value.item<double>();
    EXPECT_GT(bound, smaller) << entropy_bits;
    EXPECT_LE(bound, 8 * std::log(2));
    smaller = bound;
  }
}

TEST(Lfq, AtZeroATokenKnowsNothing) {
  const auto lfq = lfq_of({.code_size = 18});
  const auto quantized = QuantizerSteps().forward(*lfq, torch::zeros({3, 4, 18}));
  expect_close(term_of(quantized, "token_entropy").value, 4 * 18 * std::log(2.0), 1e-6);
  EXPECT_NEAR(term_of(quantized, "batch_entropy").value.item<double>(), 4 * 18 * std::log(2.0), 1e-3);
}

TEST(Lfq, TwoOppositeCertainTokensHaveOneBitBetweenThem) {
  const auto lfq = lfq_of({.code_size = 6, .temperature = scheduled_number(1)});
  const auto one = torch::full({1, 6}, 30.0);
  const auto quantized = QuantizerSteps().forward(*lfq, torch::cat({one, -one}));
  expect_close(term_of(quantized, "token_entropy").value, 0, 0, 1e-20);
  EXPECT_NEAR(term_of(quantized, "batch_entropy").value.item<double>(), std::log(2.0), 1e-6);
}

TEST(Lfq, TheAverageIsLessCertainThanItsTokensAndThePenaltyIsBounded) {
  const double gamma = 0.7, most = 8 * std::log(2.0);
  for (const double scale : {0.01, 0.3, 1.0, 3.0, 100.0}) {
    const auto lfq = lfq_of({.code_size = 8,
                             .entropy = scheduled_number(1),
                             .diversity = scheduled_number(gamma),
                             .temperature = scheduled_number(1)});
    const auto quantized = QuantizerSteps().forward(*lfq, wavy_floats({50, 8}, scale));
    const auto& token = term_of(quantized, "token_entropy");
    const auto& batch = term_of(quantized, "batch_entropy");
    EXPECT_GE(batch.value.item<double>(), token.value.mean().item<double>() - 1e-5);
    const double penalty = (token.weight * token.value.mean() + batch.weight * batch.value).item<double>();
    EXPECT_GE(penalty, -gamma * most - 1e-4);
    EXPECT_LE(penalty, most + 1e-4);
    EXPECT_FLOAT_EQ(batch.weight.item<float>(), static_cast<float>(-gamma));
  }
}

TEST(Lfq, TheTokensEntropyAlonePushesNumbersAwayFromZero) {
  const auto lfq = lfq_of({.code_size = 4, .diversity = scheduled_number(0), .temperature = scheduled_number(1)});
  const auto z = floats({0.3, -0.2, 0.8, -1.1}, {1, 4}).set_requires_grad(true);
  const auto quantized = QuantizerSteps().forward(*lfq, z);
  EXPECT_FALSE(has_term(quantized, "batch_entropy"));
  EXPECT_TRUE((gradient_of(term_of(quantized, "token_entropy").value, z) * z < 0).all().item<bool>());
  EXPECT_EQ(dynamic_cast<const CouplesBatch&>(*lfq).couples_batch_by(), "");
  EXPECT_EQ(dynamic_cast<const CouplesBatch&>(*lfq_of({})).couples_batch_by(), "the entropy of the batch's codes");
}

TEST(Lfq, TheEntropiesGradientsAreFiniteDifferences) {
  const auto lfq = lfq_of({.code_size = 5, .temperature = scheduled_number(1.3), .entropy_bits = 3});
  const auto mask = torch::tensor({1, 1, 0, 1, 1, 1}).to(torch::kBool).view({2, 3});
  for (const auto* name : {"token_entropy", "batch_entropy"}) {
    expect_gradient_matches(
        [&](const std::vector<Tensor>& in) { return term_of(QuantizerSteps().forward(*lfq, in[0], mask), name).value; },
        {wavy({2, 3, 5}) + 0.05});
  }
}

TEST(Lfq, GradientsAreFiniteFarOutAndAtZero) {
  const auto lfq = lfq_of({.code_size = 4});
  const auto z = floats({1e4, -1e4, 0, 3, -1e4, 1e4, 1e4, -1}, {2, 4}).set_requires_grad(true);
  expect_finite(gradient_of(weighted_loss(QuantizerSteps().forward(*lfq, z)), z));
}

TEST(Lfq, TheDecodersGradientPassesUnchangedAndCommitmentPullsToTheCode) {
  const auto lfq = lfq_of({.code_size = 3});
  const auto z = floats({0.5, -2, 1, -1, 0.25, 3}, {1, 2, 3}).set_requires_grad(true);
  const auto quantized = QuantizerSteps().forward(*lfq, z);
  const auto upstream = wavy_floats({1, 2, 3});
  expect_equal(gradient_of(upstream * quantized.value, z), upstream);
  const auto& commitment = term_of(quantized, "commitment");
  EXPECT_EQ(commitment.elements, 6);
  expect_close(commitment.value, 0.25 + 1 + 0 + 0 + 0.5625 + 4, 1e-6);
  expect_close(gradient_of(commitment.value, z), 2 * (z - quantized.value), 1e-6);
}

TEST(Lfq, TokensThatDoNotCountAreNowhere) {
  const auto lfq = lfq_of({.code_size = 4, .temperature = scheduled_number(1)});
  auto z = wavy_floats({2, 3, 4});
  const auto kept = torch::cat({z[0].narrow(0, 0, 2), z[1].narrow(0, 1, 2)});
  auto mask = torch::ones({2, 3}, torch::kBool);
  mask[0][2] = false;
  mask[1][0] = false;
  z[0][2].fill_(NAN);
  z.set_requires_grad(true);
  const auto some = QuantizerSteps().forward(*lfq, z, mask);
  const auto alone = QuantizerSteps().forward(*lfq, kept.view({2, 2, 4}));
  for (const auto* name : {"commitment", "token_entropy", "batch_entropy"}) {
    expect_close(term_of(some, name).value, term_of(alone, name).value, 1e-6);
  }
  EXPECT_EQ(some.indices[0][2].item<int64_t>(), -1);
  expect_equal(some.value, lfq->decode(some.indices));
  expect_finite(gradient_of(weighted_loss(some) + some.value.sum(), z));
}

TEST(Lfq, MoreThan62BitsTakeGroups) {
  const auto lfq = lfq_of({.code_size = 128, .groups = 4});
  EXPECT_EQ(lfq->code_space().bits_per_token(), 128);
  EXPECT_FALSE(lfq->codebook().defined());
  const auto z = wavy_floats({3, 128});
  const auto indices = lfq->encode(z);
  EXPECT_EQ(indices.sizes(), Shape({3, 4}));
  expect_equal(lfq->decode(indices), z.gt(0).to(torch::kFloat) * 2 - 1);
  EXPECT_NEAR(lfq->code_length(indices)[0].item<double>(), 128 * std::log(2.0), 1e-4);
  const auto refused = [](const LfqConfig& config) {
    try {
      lfq_of(config);
    } catch (const ConfigError& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  EXPECT_EQ(refused({.code_size = 62}), "accepted");
  EXPECT_EQ(refused({.code_size = 63}), "quantizer lfq: 63 bits in 1 group don't fit indices of 62 bits: give at least 2 groups");
  EXPECT_EQ(refused({.code_size = 63, .groups = 2}), "quantizer lfq: 63 bits can't be divided among 2 groups");
}

TEST(Bsq, CodesLieOnTheSphereWhereTheSignsPoint) {
  const auto bsq = bsq_of({.code_size = 18});
  const auto z = wavy_floats({5, 7, 18}, 4);
  const auto quantized = QuantizerSteps().forward(*bsq, z);
  expect_close(quantized.value.square().sum(-1).sqrt(), 1, 1e-6);
  expect_equal(quantized.value.gt(0), z.gt(0));
  expect_equal(quantized.value, bsq->decode(quantized.indices));
  expect_close(quantized.target, z / z.norm(2, -1, true), 1e-6);  // what a code stands for lies there too
}

TEST(Bsq, TheErrorHasItsClosedFormAndItsBound) {
  for (const int64_t D : {18, 36}) {
    const auto bsq = bsq_of({.code_size = D});
    const double root = std::sqrt(static_cast<double>(D));
    const auto z = wavy_floats({6, D}, 3);
    const auto error = term_of(QuantizerSteps().forward(*bsq, z), "commitment").value;
    const auto u = z / z.norm(2, 1, true);
    expect_close(error, 2 - 2 * u.abs().sum(1) / root, 1e-5);
    auto one_hot = torch::zeros({1, D});
    one_hot[0][4] = 2;
    const double worst = 2 - 2 / root;
    EXPECT_NEAR(worst, D == 18 ? 1.5286 : 1.6667, 1e-4);
    expect_close(term_of(QuantizerSteps().forward(*bsq, one_hot), "commitment").value, worst, 1e-5);
    EXPECT_TRUE(error.le(worst).all().item<bool>());
  }
  // Isotropic tokens: 2 - 2 sqrt(2 / pi) for large D.
  QuantizerSteps steps;
  const auto isotropic = steps.noise.normal({200}, {1024});
  const auto error = term_of(steps.forward(*bsq_of({.code_size = 1024, .groups = 32}), isotropic), "commitment").value;
  EXPECT_NEAR(error.mean().item<double>(), 2 - 2 * std::sqrt(2 / M_PI), 0.01);
}

// Under reduction: mean it is the source's mean over tokens of sums over their numbers.
TEST(Bsq, TheCommitmentsMeanIsOverTokens) {
  const auto bsq = bsq_of({.code_size = 18});
  const auto z = wavy_floats({5, 7, 18}, 3);
  const auto commitment = term_of(QuantizerSteps().forward(*bsq, z), "commitment");
  const auto u = z / z.norm(2, -1, true), code = (2 * z.gt(0).to(torch::kFloat) - 1) / std::sqrt(18.0);
  expect_close((commitment.value / commitment.elements).mean(), (u - code).square().sum(-1).mean(), 1e-5);
}

TEST(Bsq, TheEntropiesEqualThoseOverAllCodes) {
  const double temperature = 0.3;
  const auto bsq = bsq_of({.code_size = 8, .temperature = scheduled_number(temperature)});
  const auto z = wavy_floats({2, 5, 8});
  const auto quantized = QuantizerSteps().forward(*bsq, z);
  const auto u = z / z.norm(2, -1, true);
  const auto p = assignment(u.view({10, 8}), bsq->codebook(), temperature);
  expect_close(term_of(quantized, "token_entropy").value, -(p * p.log()).sum(1).view({2, 5}).sum(1), 1e-5);
  EXPECT_NEAR(term_of(quantized, "batch_entropy").value.item<double>(), 5 * entropy(p.mean(0)), 1e-4);
  EXPECT_FLOAT_EQ(term_of(quantized, "token_entropy").weight.item<float>(), static_cast<float>(0.1 * temperature));
  EXPECT_FLOAT_EQ(term_of(quantized, "batch_entropy").weight.item<float>(), static_cast<float>(-0.1 * temperature));

  const auto bits = bsq_of({.code_size = 8, .temperature = scheduled_number(temperature), .entropy_bits = 1});
  EXPECT_GE(term_of(QuantizerSteps().forward(*bits, z), "batch_entropy").value.item<double>(), 5 * entropy(p.mean(0)));
}

TEST(Bsq, LengthDoesNotMatterAndTheGradientIsAcrossTheToken) {
  const auto bsq = bsq_of({.code_size = 6});
  const auto z = wavy_floats({2, 3, 6}).set_requires_grad(true);
  const auto upstream = wavy_floats({2, 3, 6}, 1, 0.4);
  const auto quantized = QuantizerSteps().forward(*bsq, z);
  const auto longer = QuantizerSteps().forward(*bsq, z.detach() * 7);
  expect_equal(longer.value, quantized.value);
  expect_equal(longer.indices, quantized.indices);
  const auto gradient = gradient_of(upstream * quantized.value, z);
  expect_close((gradient * z).sum(-1), 0, 0, 1e-6);
  const auto norm = z.norm(2, -1, true), u = z / norm;
  expect_close(gradient, (upstream - u * (u * upstream).sum(-1, true)) / norm, 1e-5, 1e-6);
}

TEST(Bsq, ATokenOfZerosHasAFiniteGradient) {
  const auto bsq = bsq_of({.code_size = 4});
  auto z = wavy_floats({2, 2, 4});
  z[0][1].zero_();
  z.set_requires_grad(true);
  const auto quantized = QuantizerSteps().forward(*bsq, z);
  expect_finite(gradient_of(weighted_loss(quantized) + quantized.value.sum(), z));
}

TEST(Bsq, RefusesWhatDoesNotFit) {
  try {
    bsq_of({.code_size = 64});
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_STREQ(error.what(), "quantizer bsq: 64 bits in 1 group don't fit indices of 62 bits: give at least 2 groups");
  }
}

}  // namespace elbo::sign_codes_test
