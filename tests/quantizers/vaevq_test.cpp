#include "elbo/quantizers/vaevq.h"

#include <cmath>

#include "quantizer_steps.h"
#include "support/gradients.h"

namespace elbo::vaevq_test {

constexpr int64_t kSize = 3;

std::shared_ptr<Quantizer> vaevq_of(int64_t codes) {
  QuantizerSteps steps;
  return make_vaevq({.codes = codes, .code_size = kSize}, steps.context());
}

Tensor normal_codes(int64_t codes, int64_t size, int64_t draw) {
  Stream stream(7, "codes", at::kCPU, 0, torch::kDouble);
  stream.rekey(draw);
  return stream.normal({codes}, {size});
}

/// Tokens' means and log-variances, separately.
struct Tokens {
  Tensor mean = wavy({2, 4, kSize}, 0.2).to(torch::kFloat).set_requires_grad(true);
  Tensor log_var = (wavy({2, 4, kSize}, 0.7) - 1).to(torch::kFloat).set_requires_grad(true);
  Tensor z() const { return torch::cat({mean, log_var}, -1); }
};

/// Hands out one given tensor.
class GivenNoise final : public Noise {
 public:
  explicit GivenNoise(Tensor given) : given_(std::move(given)) {}
  Tensor normal(at::IntArrayRef leading, at::IntArrayRef event) override { return given_.view(joined(leading, event)); }
  Tensor uniform(at::IntArrayRef leading, at::IntArrayRef event) override { return normal(leading, event); }

 private:
  Tensor given_;
};

TEST(Vaevq, DistanceOfManyNormalCodesIsNearlyNothing) {
  constexpr int64_t kCodes = 1024, kCodeSize = 8, kDraws = 40;
  double mean = 0;
  for (int64_t draw = 0; draw < kDraws; ++draw) {
    mean += distance_from_standard_normal(normal_codes(kCodes, kCodeSize, draw)).item<double>() / kDraws;
  }
  EXPECT_NEAR(mean, (kCodeSize * kCodeSize + 5.0 * kCodeSize) / (4.0 * kCodes), 0.002);
}

TEST(Vaevq, DistanceOfScaledShiftedAndCollapsedCodes) {
  auto codes = normal_codes(512, 4, 0);  // made exactly of mean 0 and covariance 1
  codes = codes - codes.mean(0);
  const auto covariance = torch::mm(codes.t(), codes) / 511;
  codes = torch::mm(codes, torch::linalg_inv(torch::linalg_cholesky(covariance)).t());
  expect_close(distance_from_standard_normal(codes), 0.0, 0, 1e-10);
  expect_close(distance_from_standard_normal(codes * 3), 4 * 4.0, 1e-10);
  expect_close(distance_from_standard_normal(codes * 0.25), 4 * 0.5625, 1e-10);
  expect_close(distance_from_standard_normal(codes + values({1, 2, 0, -2})), 9.0, 1e-10);
  expect_close(distance_from_standard_normal(torch::zeros({512, 4}, torch::kDouble)), 4 - 2 * 4 * 1e-3, 1e-10);
}

TEST(Vaevq, GradientOfTheDistanceMatchesFiniteDifferences) {
  expect_gradient_matches([](const std::vector<Tensor>& inputs) { return distance_from_standard_normal(inputs[0]); },
                          {wavy({6, 3})});
}

TEST(Vaevq, TheDecodersGradientGoesToMeanScaleAndCode) {
  const auto vaevq = vaevq_of(7);
  const Tokens tokens;
  const auto upstream = wavy({2, 4, kSize}, 0.9).to(torch::kFloat);
  const auto out = QuantizerSteps().forward(*vaevq, tokens.z());
  const auto codes = *vaevq->named_parameters().find("codes");
  const auto gradients = torch::autograd::grad({(out.value * upstream).sum()}, {tokens.mean, tokens.log_var, codes});
  const auto scale = (0.5 * tokens.log_var).exp();
  const auto noise = (vaevq->decode(out.indices) - tokens.mean) / scale;
  expect_equal(gradients[0], upstream);
  expect_close(gradients[1], upstream * noise * 0.5 * scale, 1e-5, 1e-6);  // d sigma = noise
  const auto to_code = torch::zeros({7, kSize}).index_add(0, out.indices.flatten(), upstream.view({-1, kSize}));
  const auto map = *vaevq->named_parameters().find("projection.weight");
  expect_close(gradients[2], torch::mm(to_code, map), 1e-5, 1e-6);
}

TEST(Vaevq, AlignmentOfAConstantScaleIsTheQuantisationError) {
  const auto vaevq = vaevq_of(7);
  const auto mean = wavy({2, 4, kSize}).to(torch::kFloat);
  constexpr double kScale = 0.3;
  const auto z = torch::cat({mean, torch::full_like(mean, 2 * std::log(kScale))}, -1);
  const auto out = QuantizerSteps().forward(*vaevq, z);
  const auto error = (mean - out.value).square().sum({1, 2});
  expect_close(term_of(out, "rcs").value, error / (2 * kScale * kScale), 1e-5);
  EXPECT_EQ(term_of(out, "rcs").elements, 4 * kSize);
  expect_close(reading_of(out, "mean_scale"), kScale, 1e-5);
}

TEST(Vaevq, TheAlignmentMovesMeanScaleAndCode) {
  const auto vaevq = vaevq_of(7);
  const Tokens tokens;
  const auto rcs = term_of(QuantizerSteps().forward(*vaevq, tokens.z()), "rcs").value;
  EXPECT_GT(gradient_of(rcs, tokens.mean).abs().max().item<double>(), 0.01);
  EXPECT_LE(gradient_of(rcs, tokens.log_var).max().item<double>(), 0);  // it would let the scale grow
  EXPECT_GT(gradient_of(rcs, *vaevq->named_parameters().find("codes")).abs().max().item<double>(), 0.01);
}

TEST(Vaevq, TheNoiseOfTheCodeDrawsTheCode) {
  const auto vaevq = vaevq_of(7);
  const Tokens tokens;
  QuantizerSteps steps;
  const auto first = steps.forward(*vaevq, tokens.z());
  GivenNoise noise(((first.value - tokens.mean) / (0.5 * tokens.log_var).exp()).detach());
  Step step{.noise = noise, .streams = steps.streams, .collective = steps.collective};
  expect_close(vaevq->forward(tokens.z(), step).continuous, first.value, 1e-5, 1e-6);
}

TEST(Vaevq, EvaluationReadsCodesAloneAndEqualsDecoding) {
  const auto vaevq = vaevq_of(7);
  const auto z = Tokens().z().detach();
  const auto out = QuantizerSteps().evaluate(*vaevq, z);
  EXPECT_FALSE(out.continuous.defined());
  expect_equal(out.value, vaevq->decode(out.indices));
  expect_equal(out.indices, vaevq->encode(z));
  expect_equal(out.value, QuantizerSteps().forward(*vaevq, z).value);
  expect_equal(vaevq->decode(torch::arange(7).view({1, 7, 1}))[0], vaevq->codebook());
  const auto codes = torch::cat({vaevq->codebook(), torch::zeros({7, kSize})}, 1).unsqueeze(0);
  expect_equal(vaevq->encode(codes).flatten(), torch::arange(7));
}

TEST(Vaevq, KlIsInNatsAndTheCodebooksDistanceIsEveryExamples) {
  const auto vaevq = vaevq_of(7);
  const auto mean = torch::full({2, 4, kSize}, 0.5);
  const auto out = QuantizerSteps().evaluate(*vaevq, torch::cat({mean, torch::full_like(mean, -1)}, -1));
  expect_close(term_of(out, "kl").value, 4 * kSize * 0.5 * (0.25 + std::exp(-1.0) - 1 + 1), 1e-5);
  expect_close(term_of(out, "dcr").value, distance_from_standard_normal(vaevq->codebook()).expand({2}), 1e-6);
  EXPECT_FLOAT_EQ(term_of(out, "rcs").weight.item<float>(), 1);
  EXPECT_FLOAT_EQ(term_of(out, "kl").weight.item<float>(), 0.2F);
  EXPECT_FLOAT_EQ(term_of(out, "dcr").weight.item<float>(), 0.2F);
}

TEST(Vaevq, TokensThatDontCountAddNothing) {
  const auto vaevq = vaevq_of(7);
  const auto z = Tokens().z().detach();
  const auto mask = torch::tensor({1, 1, 0, 0, 1, 1, 0, 0}).view({2, 4}).to(torch::kBool);
  const auto part = QuantizerSteps().evaluate(*vaevq, z.narrow(1, 0, 2)), masked = QuantizerSteps().evaluate(*vaevq, z, mask);
  for (const auto* name : {"rcs", "kl", "dcr"}) expect_close(term_of(masked, name).value, term_of(part, name).value, 1e-6);
  expect_close(reading_of(masked, "mean_scale"), reading_of(part, "mean_scale"), 1e-6);
}

}  // namespace elbo::vaevq_test
