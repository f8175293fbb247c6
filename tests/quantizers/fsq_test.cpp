#include "elbo/quantizers/fsq.h"

#include "elbo/base/error.h"
#include "quantizer_steps.h"
#include "support/gradients.h"

namespace elbo::fsq_test {

std::shared_ptr<Quantizer> fsq_of(std::vector<int64_t> levels, FsqBound bound = FsqBound::offset) {
  QuantizerSteps steps;
  return make_fsq({.levels = std::move(levels), .bound = bound}, steps.context());
}

Tensor value_of(Quantizer& fsq, const Tensor& z) { return QuantizerSteps().evaluate(fsq, z).value; }

/// The distinct values of one channel as z goes from -10 to 10.
Tensor swept(int64_t levels, FsqBound bound = FsqBound::offset) {
  const auto fsq = fsq_of({levels}, bound);
  return std::get<0>(at::_unique(value_of(*fsq, torch::linspace(-10, 10, 20001).unsqueeze(1)).flatten()));
}

TEST(Fsq, AChannelTakesExactlyItsLevels) {
  expect_close(swept(2), values({-1, 0}), 0);
  expect_close(swept(3), values({-1, 0, 1}), 0);
  expect_close(swept(4), values({-1, -0.5, 0, 0.5}), 0);
  expect_close(swept(5), values({-1, -0.5, 0, 0.5, 1}), 0);
  expect_close(swept(8), values({-4, -3, -2, -1, 0, 1, 2, 3}) / 4, 0);
  for (const int64_t levels : {6, 7, 16, 33}) {
    EXPECT_EQ(swept(levels).numel(), levels);
    EXPECT_EQ(value_of(*fsq_of({levels}), torch::zeros({1, 1})).item<double>(), 0);
  }
}

TEST(Fsq, TheSymmetricFormSpreadsItsLevelsFromMinusOneToOne) {
  expect_close(swept(2, FsqBound::symmetric), values({-1, 1}), 0);
  expect_close(swept(3, FsqBound::symmetric), values({-1, 0, 1}), 0);
  expect_close(swept(4, FsqBound::symmetric), values({-3, -1, 1, 3}) / 3, 1e-6);
  expect_close(swept(8, FsqBound::symmetric), torch::arange(-7, 8, 2) / 7.0, 1e-6);
  // Parker et al. 2024, eq. 1: of L = 6 and tanh z = 0.3 it is 2 / 5 floor(5 * 1.3 / 2 + 0.5) - 1.
  const auto z = torch::full({1, 1}, std::atanh(0.3)).to(torch::kFloat);
  expect_close(value_of(*fsq_of({6}, FsqBound::symmetric), z), 2.0 / 5 * std::floor(5 * 1.3 / 2 + 0.5) - 1, 1e-6);
}

TEST(Fsq, TheGradientIsThatOfTheBound) {
  for (const auto& [levels, slope] :
       std::vector<std::pair<int64_t, double>>{{3, 1.001}, {5, 1.001}, {4, 0.66750}, {8, 0.85804}}) {
    const auto z = torch::zeros({1, 1}).set_requires_grad(true);
    expect_close(gradient_of(QuantizerSteps().forward(*fsq_of({levels}), z).value, z), slope, 1e-5);
  }
  const std::vector<int64_t> levels = {8, 5, 4, 3};
  const auto z = (wavy({2, 3, 4}) * 2).to(torch::kFloat).set_requires_grad(true);
  const auto upstream = wavy({2, 3, 4}, 0.6).to(torch::kFloat);
  auto half = torch::empty({4}), shift = torch::empty({4}), scale = torch::empty({4});
  for (int64_t i = 0; i < 4; ++i) {
    const auto L = levels[static_cast<size_t>(i)];
    half[i] = static_cast<double>(L - 1) * 1.001 / 2;
    shift[i] = std::atanh((L % 2 == 0 ? 0.5 : 0) / half[i].item<double>());
    scale[i] = L / 2;
  }
  const auto value = QuantizerSteps().forward(*fsq_of(levels), z).value;
  expect_close(gradient_of(upstream * value, z), upstream * half * (1 - (z + shift).tanh().square()) / scale, 1e-5, 1e-7);
  const auto symmetric = QuantizerSteps().forward(*fsq_of(levels, FsqBound::symmetric), z).value;
  expect_close(gradient_of(upstream * symmetric, z), upstream * (1 - z.tanh().square()), 1e-5, 1e-7);
}

TEST(Fsq, NothingPassesFarFromTheCentre) {
  const auto fsq = fsq_of({8, 5, 4, 2});
  const auto z = torch::full({1, 4}, 10.0).set_requires_grad(true);
  EXPECT_LT(gradient_of(QuantizerSteps().forward(*fsq, z).value, z).abs().max().item<double>(), 1e-6);
}

TEST(Fsq, IndicesAndCodesAreOneToOneAndTheFirstChannelCountsLowest) {
  for (const auto bound : {FsqBound::offset, FsqBound::symmetric}) {
    const auto fsq = fsq_of({8, 5, 4, 3}, bound);
    const auto codes = fsq->codebook();
    ASSERT_EQ(codes.size(0), 480);
    EXPECT_EQ(std::get<0>(torch::unique_dim(codes, 0)).size(0), 480);
    EXPECT_NE(codes[0][0].item<double>(), codes[1][0].item<double>());
    expect_equal(codes[0].narrow(0, 1, 3), codes[7].narrow(0, 1, 3));
    EXPECT_NE(codes[0][1].item<double>(), codes[8][1].item<double>());
  }
}

TEST(Fsq, EveryCodeIsReachedFromTheInverseOfTheBound) {
  const std::vector<int64_t> levels = {8, 7, 6, 5, 2};
  const auto fsq = fsq_of(levels);
  const auto indices = torch::arange(8 * 7 * 6 * 5 * 2).unsqueeze(1);
  auto z = fsq->decode(indices).to(torch::kDouble);
  for (int64_t i = 0; i < 5; ++i) {
    const auto L = levels[static_cast<size_t>(i)];
    const double half = static_cast<double>(L - 1) * 1.001 / 2, offset = L % 2 == 0 ? 0.5 : 0;
    auto channel = z.select(1, i);
    channel.copy_(((channel * static_cast<double>(L / 2) + offset) / half).atanh() - std::atanh(offset / half));
  }
  EXPECT_LT(z.abs().max().item<double>(), 8);
  expect_equal(fsq->encode(z.to(torch::kFloat)), indices);
}

TEST(Fsq, EvaluationDecodesToTheBitAndEachTokenStandsByItself) {
  for (const auto bound : {FsqBound::offset, FsqBound::symmetric}) {
    const auto fsq = fsq_of({8, 8, 8, 4, 4}, bound);
    const auto z = (wavy({3, 4, 2, 5}) * 3).to(torch::kFloat);
    const auto quantized = QuantizerSteps().evaluate(*fsq, z);
    EXPECT_EQ(quantized.indices.sizes(), Shape({3, 4, 2, 1}));
    expect_equal(quantized.value, fsq->decode(quantized.indices));
    expect_equal(fsq->encode(z), quantized.indices);
    expect_equal(fsq->encode(z.narrow(0, 1, 1)), quantized.indices.narrow(0, 1, 1));
    EXPECT_TRUE(quantized.terms.empty());
    // What was rounded is at most half a level away.
    const auto error = (quantized.value - quantized.target).abs().view({-1, 5}).amax(0);
    const auto step = bound == FsqBound::symmetric ? values({2 / 7.0, 2 / 7.0, 2 / 7.0, 2 / 3.0, 2 / 3.0})
                                                   : values({0.25, 0.25, 0.25, 0.5, 0.5});
    EXPECT_TRUE(error.le(step / 2 + 1e-6).all().item<bool>()) << error;
    EXPECT_GT(error.min().item<double>(), 0);
  }
}

// If tanh(z + shift) is uniform on (-1, 1), an interior level has mass 1 / (1.001 (L - 1)).
TEST(Fsq, InteriorLevelsAreEquallyLikelyUnderAUniformBound) {
  const int64_t L = 8, N = 200'000;
  const double half = 7 * 1.001 / 2, shift = std::atanh(0.5 / half);
  Stream stream(3, "fsq", at::kCPU, 0, torch::kDouble);
  const auto z = (stream.uniform({N}, {1}) * 2 - 1).atanh() - shift;
  const auto counts = torch::bincount(fsq_of({L})->encode(z).flatten(), {}, L).to(torch::kDouble).narrow(0, 1, L - 2);
  const double expected = static_cast<double>(N) / (1.001 * 7);
  const double chi_square = ((counts - expected).square() / expected).sum().item<double>();
  EXPECT_LT(chi_square, 22.5);  // 6 degrees of freedom, 0.1 %
}

TEST(Fsq, ATokenThatDoesNotCountIsLeftOut) {
  const auto fsq = fsq_of({8, 5});
  auto z = (wavy({2, 3, 2}) * 3).to(torch::kFloat);
  z[1][0].fill_(NAN);
  z.set_requires_grad(true);
  auto mask = torch::ones({2, 3}, torch::kBool);
  mask[1][0] = false;
  const auto quantized = QuantizerSteps().forward(*fsq, z, mask);
  EXPECT_EQ(quantized.indices[1][0].item<int64_t>(), -1);
  expect_equal(quantized.value, fsq->decode(quantized.indices));
  expect_finite(gradient_of(quantized.value, z));
}

TEST(Fsq, CodesCostTheirLogarithm) {
  const auto fsq = fsq_of({8, 8, 8, 4, 4});
  EXPECT_NEAR(fsq->code_space().bits_per_token(), 13, 1e-12);
  expect_close(fsq->code_length(torch::zeros({2, 7, 7, 1}, torch::kLong)), 49 * 13 * std::log(2.0), 1e-6);
}

TEST(Fsq, ALargeSpaceHasNoTableAndTooLargeAOneIsRefused) {
  const auto large = fsq_of(std::vector<int64_t>(15, 16));
  EXPECT_EQ(large->code_space().sizes[0], int64_t{1} << 60);
  EXPECT_FALSE(large->codebook().defined());
  const auto z = (wavy({4, 15}) * 3).to(torch::kFloat);
  expect_equal(large->decode(large->encode(z)), value_of(*large, z));
  try {
    fsq_of(std::vector<int64_t>(16, 16));
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_STREQ(
        error.what(),
        "quantizer fsq: 2^64 codes don't fit an index of 62 bits: give fewer levels, or split the channels with quantizer "
        "product");
  }
}

// Any matrix is tokens: a linear layer's weight at 2 bits a number, its rows scaled to unit spread.
TEST(Fsq, QuantisesAWeightMatrixRowByRow) {
  Stream stream(5, "weight", at::kCPU);
  const auto weight = stream.normal({64}, {32}) * 0.07;
  const auto fsq = fsq_of(std::vector<int64_t>(16, 4), FsqBound::symmetric);
  const auto tokens = (weight / 0.07).view({64, 2, 16});
  const auto restored = fsq->decode(fsq->encode(tokens)).view({64, 32});
  const auto scale = (weight * restored).sum() / restored.square().sum();  // least squares
  const double relative = ((scale * restored - weight).square().sum() / weight.square().sum()).item<double>();
  EXPECT_EQ(fsq->code_space().bits_per_token() / 16, 2);
  EXPECT_LT(relative, 0.16);  // the best four levels leave 0.1175
}

}  // namespace elbo::fsq_test
