#include "elbo/quantizers/gaussian_quant.h"

#include <cmath>

#include "elbo/base/error.h"
#include "elbo/quantizers/gaussian_codebook.h"
#include "quantizer_steps.h"
#include "support/gradients.h"

namespace elbo::gaussian_quant_test {

Tensor buffer_of(Quantizer& quantizer, const std::string& name) { return *quantizer.named_buffers().find(name); }

std::shared_ptr<Quantizer> quantizer_of(GaussianQuantConfig config) {
  QuantizerSteps steps;
  return make_gaussian_quant(config, steps.context());
}
std::shared_ptr<Quantizer> small(GaussianQuantSample sample = GaussianQuantSample::posterior) {
  return quantizer_of({.codes = 64, .code_size = 6, .groups = 2, .sample = sample});
}

/// [B, T, 12]: six means and six log-variances a token.
Tensor tokens_of(int64_t B, int64_t T, double log_var = -1) {
  const auto mean = wavy({B, T, 6}, 0.3).to(torch::kFloat);
  return torch::cat({mean, wavy({B, T, 6}, 0.8).to(torch::kFloat) * 0.5 + log_var}, -1);
}

/// How often a code lies within sigma of the mean, over codebooks of independent draws.
double chance_of_a_miss(double mean, double sigma, int64_t codes, int64_t codebooks) {
  Stream stream(11, "codebooks", at::kCPU, 0, torch::kDouble);
  const auto all = stream.normal({codebooks}, {codes, 1});
  const auto where = torch::full({1, 1}, mean, torch::kDouble);
  const auto log_var = torch::full({1, 1}, 2 * std::log(sigma), torch::kDouble);
  int64_t misses = 0;
  for (int64_t i = 0; i < codebooks; ++i) {
    const auto index = gaussian_code(where, log_var, all[i], 0).item<int64_t>();
    misses += std::abs(all[i][index].item<double>() - mean) >= sigma;
  }
  return static_cast<double>(misses) / static_cast<double>(codebooks);
}

// (1 - p)^V with p the normal mass within sigma of the mean.
TEST(SlowGaussianQuant, TheNearestOfIndependentCodesMissesAsOftenAsTheLawSays) {
  constexpr int64_t kCodebooks = 10'000;
  const auto expect_law = [](double mean, double sigma, int64_t codes, double law) {
    const double error = std::sqrt(law * (1 - law) / kCodebooks);
    EXPECT_NEAR(chance_of_a_miss(mean, sigma, codes, kCodebooks), law, 4 * error) << mean << " " << sigma << " " << codes;
  };
  expect_law(1, 0.05, 64, 0.2085);
  expect_law(1, 0.05, 256, 0.00189);
  expect_law(0, 0.1, 16, 0.2650);
  expect_law(0, 0.1, 64, 0.0049);
}

TEST(GaussianQuant, TheProductChoosesWhatTheDensitiesDo) {
  for (const int64_t size : {1, 2, 3, 8}) {
    for (const double beta : {0.0, 0.5, 1.0}) {
      const auto codes = gaussian_codebook(100, size, 3).to(torch::kDouble);
      const auto mean = wavy({40, size}, 0.1), log_var = wavy({40, size}, 0.6) - 1.5;
      const auto away = codes.unsqueeze(0) - mean.unsqueeze(1);
      const auto log_ratio =
          -0.5 * (away.square() / log_var.exp().unsqueeze(1) + log_var.unsqueeze(1)).sum(2) + 0.5 * beta * codes.square().sum(1);
      const auto [best, index] = log_ratio.max(1);
      const auto chosen = gaussian_code(mean, log_var, codes, beta);
      expect_equal(chosen, index);
      const auto in_float32 = gaussian_code(mean.to(torch::kFloat), log_var.to(torch::kFloat), codes.to(torch::kFloat), beta);
      expect_close(log_ratio.gather(1, in_float32.unsqueeze(1)).squeeze(1), best, 0, 1e-4);
    }
  }
}

TEST(GaussianQuant, RowsAreSearchedInBlocks) {
  const auto codes = gaussian_codebook(1 << 16, 2, 3);
  const auto mean = wavy({150, 2}).to(torch::kFloat), log_var = torch::full({150, 2}, -6.0);
  const auto all = gaussian_code(mean, log_var, codes, 1);
  for (const int64_t row : {0, 63, 64, 65, 128, 149}) {
    expect_equal(gaussian_code(mean.narrow(0, row, 1), log_var.narrow(0, row, 1), codes, 1), all.narrow(0, row, 1));
  }
}

// 65,536 codes of one number lie 1e-4 apart: squares of float32 cannot tell them apart.
TEST(GaussianQuant, NeighboursInADenseCodebookAreToldApart) {
  const auto codes = gaussian_codebook(1 << 16, 1, 42);
  const auto chosen = gaussian_code(codes.narrow(0, 0, 2000), torch::full({2000, 1}, -12.0), codes, 0);
  expect_equal(chosen, torch::arange(2000));
}

TEST(GaussianQuant, APosteriorThatIsThePriorTiesAndTakesTheFirstCode) {
  const auto mean = torch::zeros({5, 3}), codes = gaussian_codebook(64, 3, 1);
  expect_equal(gaussian_code(mean, mean, codes, 1), torch::zeros({5}, torch::kLong));
}

TEST(GaussianCodebook, IsPyTorchsScrambledSobolSequence) {
  // torch.quasirandom.SobolEngine(3, scramble=True, seed=42).draw(5), in units of 2^-30
  const auto points = values({1071071808, 112062560, 883666816, 239101346, 791312911, 480658305, 516407228, 382602637, 548082266,
                              793811004, 1061783518, 145161915, 587106801, 495342111, 302737647},
                             {5, 3});
  const auto normal = gaussian_codebook(5, 3, 42).to(torch::kDouble);
  const auto uniform = 0.5 * torch::erfc(-normal / std::sqrt(2.0));
  expect_close(uniform, (points + 0.5) / (1 << 30), 0, 1e-7);
}

TEST(GaussianCodebook, IsAFunctionOfItsSeedAndFiniteAndNearlyNormal) {
  const auto codes = gaussian_codebook(4096, 4, 42);
  expect_equal(gaussian_codebook(4096, 4, 42), codes);
  EXPECT_FALSE(gaussian_codebook(4096, 4, 43).equal(codes));
  expect_finite(codes);
  expect_close(codes.mean(0), 0.0, 0, 2e-3);  // a hundredth of the error of independent draws
  expect_close(codes.var(0), 1.0, 5e-3);
  EXPECT_EQ(gaussian_codebook(1, 2, 42).size(0), 1);
  EXPECT_THROW(gaussian_codebook(16, 21'202, 1), UsageError);
  expect_equal(small()->codebook(), gaussian_codebook(64, 3, 42));
  EXPECT_EQ(std::get<0>(torch::unique_dim(gaussian_codebook(4096, 4, 1), 0)).size(0), 4096) << "no two are equal";
}

TEST(GaussianQuant, CodesOfTheAggregatePosteriorAreUsedAlmostEqually) {
  Stream stream(5, "aggregate", at::kCPU);
  constexpr double kVariance = 0.01;
  for (const int64_t size : {1, 4}) {
    const auto mean = stream.normal({100'000}, {size}) * std::sqrt(1 - kVariance);  // mean + sigma noise is N(0, 1)
    const auto index = gaussian_code(mean, torch::full_like(mean, std::log(kVariance)), gaussian_codebook(256, size, 42), 1);
    const auto p = torch::bincount(index, {}, 256).to(torch::kDouble) / 100'000;
    const double bits = -torch::xlogy(p, p).sum().item<double>() / std::log(2.0);
    EXPECT_GT(bits, 0.98 * 8);
    EXPECT_LE(bits, 8);
  }
}

TEST(GaussianQuant, TrainingDrawsThePosteriorWithItsGradient) {
  const auto quantizer = small();
  const auto z = tokens_of(2, 5).set_requires_grad(true);
  const auto out = QuantizerSteps(3).forward(*quantizer, z);
  EXPECT_FALSE(out.indices.defined());
  const auto noise = QuantizerSteps(3).noise.normal({1, 2}, {5, 6}).squeeze(0);
  const auto mean = z.narrow(-1, 0, 6), scale = (0.5 * z.narrow(-1, 6, 6)).exp();
  expect_close(out.value, mean + scale * noise, 1e-5, 1e-6);
  const auto upstream = wavy({2, 5, 6}).to(torch::kFloat);
  const auto gradient = gradient_of(out.value * upstream, z);
  expect_equal(gradient.narrow(-1, 0, 6), upstream);
  expect_close(gradient.narrow(-1, 6, 6), 0.5 * upstream * scale * noise, 1e-5, 1e-6);
}

TEST(GaussianQuant, StraightThroughReadsTheCodeWithTheGradientOfTheDraw) {
  const auto quantizer = small(GaussianQuantSample::straight_through);
  const auto z = tokens_of(2, 5).set_requires_grad(true);
  const auto out = QuantizerSteps(3).forward(*quantizer, z);
  expect_equal(out.value, quantizer->decode(out.indices));
  expect_equal(out.indices, quantizer->encode(z));
  const auto drawn = QuantizerSteps(3).forward(*small(), z);
  const auto upstream = wavy({2, 5, 6}).to(torch::kFloat);
  expect_equal(gradient_of(out.value * upstream, z), gradient_of(drawn.value * upstream, z));
}

TEST(GaussianQuant, EvaluationReplacesEachGroupByItsCode) {
  const auto quantizer = small();
  const auto z = tokens_of(2, 5);
  const auto out = QuantizerSteps().evaluate(*quantizer, z);
  EXPECT_EQ(out.indices.sizes(), (Shape{2, 5, 2}));
  expect_equal(out.value, quantizer->decode(out.indices));
  expect_equal(out.indices, quantizer->encode(z));
  // The second group alone, by itself.
  const auto second = [&](int64_t from) { return z.narrow(-1, from, 3).reshape({-1, 3}); };
  expect_equal(out.indices.select(-1, 1).flatten(), gaussian_code(second(3), second(9), quantizer->codebook(), 1));
  expect_equal(out.value.narrow(-1, 3, 3),
               quantizer->codebook().index_select(0, out.indices.select(-1, 1).flatten()).view({2, 5, 3}));
  const auto space = quantizer->code_space();
  EXPECT_EQ(space.bits_per_token(), 12);
  EXPECT_EQ(space.input_size, 12);
}

/// Tokens of one group of one number whose KL has these bits.
Tensor tokens_of_bits(const std::vector<double>& bits) {
  auto z = torch::zeros({1, static_cast<int64_t>(bits.size()), 2});
  for (size_t i = 0; i < bits.size(); ++i) {
    z[0][static_cast<int64_t>(i)][0].fill_(std::sqrt(2 * bits[i] * std::log(2.0)));  // mu^2 / 2 nats
  }
  return z;
}
std::shared_ptr<Quantizer> scalar() { return quantizer_of({.codes = 16, .code_size = 1}); }  // target 4 bits

TEST(GaussianQuant, RatesAreWeightedByTheirSideOfTheTarget) {
  const auto quantizer = scalar();
  set(*quantizer, "lambda", torch::tensor(2.0F));
  set(*quantizer, "lambda_above", torch::tensor(10.0F));
  set(*quantizer, "lambda_below", torch::tensor(0.1F));
  const auto out = QuantizerSteps().evaluate(*quantizer, tokens_of_bits({3, 3.6, 4.4, 5}));
  expect_close(term_of(out, "rate").value, 2 * (0.1 * 3 + 3.6 + 4.4 + 10 * 5), 1e-5);
  EXPECT_FLOAT_EQ(term_of(out, "rate").weight.item<float>(), 0.1F);
  expect_close(term_of(out, "kl").value, 16 * std::log(2.0), 1e-5);
  EXPECT_EQ(term_of(out, "kl").weight.item<double>(), 0);
  expect_close(reading_of(out, "rate_bits"), 4.0, 1e-5);

  const auto mask = torch::tensor({1, 0, 0, 1}).view({1, 4}).to(torch::kBool);
  const auto masked = QuantizerSteps().evaluate(*quantizer, tokens_of_bits({3, 3.6, 4.4, 5}), mask);
  expect_close(term_of(masked, "rate").value, 2 * (0.1 * 3 + 10 * 5), 1e-5);
}

TEST(GaussianQuant, MultipliersMoveByAHundredthTowardsTheTarget) {
  struct Case {
    std::vector<double> bits;
    double lambda, above, below;
  };
  const std::vector<Case> cases = {{{4.1, 4.2}, 1.01, 1, 1},              // mean above the target; all within the tolerance
                                   {{3.8, 3.9}, 1 / 1.01, 1, 1},          // below
                                   {{5, 4}, 1.01, 1.01, 1},               // the largest is out
                                   {{3.4, 4.4}, 1 / 1.01, 1, 1 / 1.01}};  // the smallest is out
  for (const auto& [bits, lambda, above, below] : cases) {
    const auto quantizer = scalar();
    QuantizerSteps steps;
    steps.forward(*quantizer, tokens_of_bits(bits));
    expect_close(buffer_of(*quantizer, "lambda"), 1.0, 0);
    steps.after_step(*quantizer);
    expect_close(buffer_of(*quantizer, "lambda"), lambda, 1e-6);
    expect_close(buffer_of(*quantizer, "lambda_above"), above, 1e-6);
    expect_close(buffer_of(*quantizer, "lambda_below"), below, 1e-6);
  }
}

TEST(GaussianQuant, MultipliersReturnAndStayInTheirBounds) {
  const auto quantizer = scalar();
  QuantizerSteps steps;
  const auto run = [&](const std::vector<double>& bits, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      steps.forward(*quantizer, tokens_of_bits(bits));
      steps.after_step(*quantizer);
    }
  };
  run({2, 9}, 800);
  expect_close(buffer_of(*quantizer, "lambda_above"), 1e3, 1e-6);
  expect_close(buffer_of(*quantizer, "lambda_below"), 1e-3, 1e-6);
  run({4}, 1);
  expect_close(buffer_of(*quantizer, "lambda_above"), 1e3 / 1.01, 1e-5);
  expect_close(buffer_of(*quantizer, "lambda_below"), 1.01e-3, 1e-5);
  run({4}, 799);
  expect_close(buffer_of(*quantizer, "lambda_above"), 1.0, 1e-6);
  expect_close(buffer_of(*quantizer, "lambda_below"), 1.0, 1e-6);
}

TEST(GaussianQuant, SeveralForwardPassesAreOneStepAndEvaluationIsNone) {
  const auto quantizer = scalar();
  QuantizerSteps steps;
  steps.forward(*quantizer, tokens_of_bits({4.6}));
  steps.forward(*quantizer, tokens_of_bits({3.7}));  // mean 4.15, the largest above the tolerance
  steps.evaluate(*quantizer, tokens_of_bits({0.1}));
  steps.after_step(*quantizer);
  expect_close(buffer_of(*quantizer, "lambda"), 1.01, 1e-6);
  expect_close(buffer_of(*quantizer, "lambda_above"), 1.01, 1e-6);
  expect_close(buffer_of(*quantizer, "lambda_below"), 1.0, 0);
  steps.after_step(*quantizer);  // nothing pending
  expect_close(buffer_of(*quantizer, "lambda"), 1.01, 1e-6);

  auto given_up = steps.step();
  given_up.index = 7;
  quantizer->forward(tokens_of_bits({9, 9}), given_up);
  steps.forward(*quantizer, tokens_of_bits({3.7}));
  steps.after_step(*quantizer);
  expect_close(buffer_of(*quantizer, "lambda"), 1.0, 1e-6);
}

/// A linear Gaussian autoencoder of N(0, I_4), one token an example; returns the running mean of R over the last steps.
struct Trained {
  double bits = 0;
  double lambda = 0;
};
Trained train_linear(double frozen_at, int64_t steps_count) {
  constexpr int64_t kSize = 4, kBatch = 256, kLast = 500;
  const auto quantizer = quantizer_of({.codes = 256, .code_size = kSize});
  QuantizerSteps steps(2);
  Stream data(3, "data", at::kCPU);
  auto encode = torch::cat({0.5 * torch::eye(kSize), torch::zeros({kSize, kSize})}).set_requires_grad(true);
  auto log_var = torch::zeros({kSize}).set_requires_grad(true);
  auto decode = (0.5 * torch::eye(kSize)).set_requires_grad(true);
  torch::optim::Adam adam({encode, log_var, decode}, torch::optim::AdamOptions(3e-3));
  constexpr double kPixelVariance = 0.05;  // at multiplier 1 the rate would settle elsewhere
  if (frozen_at > 0) set(*quantizer, "lambda", torch::tensor(static_cast<float>(frozen_at)));
  Trained result;
  for (int64_t i = 0; i < steps_count; ++i) {
    steps.noise.rekey(i);
    data.rekey(i);
    const auto x = data.normal({kBatch}, {kSize});
    const auto features = torch::mm(x, encode.t());
    const auto z = torch::cat({features.narrow(1, 0, kSize), features.narrow(1, kSize, kSize) * 0 + log_var}, 1);
    const auto out = steps.forward(*quantizer, z);
    const auto error = (x - torch::mm(out.value, decode.t())).square().sum() / (2 * kPixelVariance);
    adam.zero_grad();
    ((error + weighted_loss(out)) / kBatch).backward();
    adam.step();
    const float lambda = buffer_of(*quantizer, "lambda").item<float>();
    steps.after_step(*quantizer);
    if (frozen_at > 0) set(*quantizer, "lambda", torch::tensor(lambda));
    if (i >= steps_count - kLast) {
      result.bits += reading_of(out, "rate_bits").item<double>() / kLast;
      result.lambda += lambda / static_cast<double>(kLast);
    }
  }
  return result;
}

TEST(SlowGaussianQuant, TheMultiplierHoldsTheRateAtTheTarget) {
  const auto free = train_linear(0, 5000);
  std::cout << "settled: " << free.bits << " bits, multiplier " << free.lambda << "\n";
  EXPECT_NEAR(free.bits, 8, 0.5);
  for (const double factor : {10.0, 0.1}) {
    const auto frozen = train_linear(factor * free.lambda, 5000);
    std::cout << "frozen at " << factor << " times it: " << frozen.bits << " bits\n";
    EXPECT_GT(std::abs(frozen.bits - 8), 0.5);
  }
}

}  // namespace elbo::gaussian_quant_test
