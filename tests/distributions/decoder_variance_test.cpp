// Scales of a decoder: fixed, learned, per pixel, optimal (Rybkin et al. 2021, arXiv:2006.13202).
#include <gmock/gmock.h>

#include <numbers>

#include "elbo/base/error.h"
#include "elbo/distributions/normal.h"
#include "elbo/distributions/normal_likelihood.h"
#include "elbo/distributions/normal_prior.h"
#include "elbo/math/couples_batch.h"
#include "elbo/math/step.h"
#include "support/gradients.h"

namespace elbo::decoder_variance_test {
namespace {

const FieldSpec kReal = {.shape = {2, 3}, .kind = ValueKind::real};
constexpr double kX = 6;  // elements of one example

std::shared_ptr<Likelihood> normal(DecoderVariance variance, double scale = 1, const FieldSpec& field = kReal) {
  auto made = make_normal_likelihood({.scale = scale, .variance = variance}, {.field = field});
  made->to(torch::kDouble);
  return made;
}

void end_step(Likelihood& likelihood) {
  Streams streams(0, at::kCPU);
  Collective collective;
  const torch::NoGradGuard no_grad;
  dynamic_cast<Stepped&>(likelihood).after_step({.noise = streams.noise, .streams = streams, .collective = collective});
}

TEST(OptimalVariance, GradientIsThatOfTheLogOfTheMeanSquaredError) {
  const auto likelihood = normal(DecoderVariance::optimal);
  const auto x = wavy({5, 2, 3}, 1);
  const auto output = (0.5 * wavy({5, 2, 3})).requires_grad_();
  const auto loss = -likelihood->surrogate(output, x)->log_prob(x).mean();
  const auto log_mse = (kX / 2) * ((x - output).square().mean() * (2 * std::numbers::pi)).log() + kX / 2;
  expect_close(loss, log_mse, 1e-12);
  expect_close(gradient_of(loss, output), gradient_of(log_mse, output), 1e-10, 1e-14);
}

TEST(OptimalVariance, IsOfBatchSamplesAndElementsTogether) {
  const auto likelihood = normal(DecoderVariance::optimal);
  const auto x = wavy({5, 2, 3}, 1), output = wavy({4, 5, 2, 3});
  const auto p = likelihood->surrogate(output, x);
  EXPECT_EQ(p->batch_shape(), (Shape{4, 5}));
  expect_close(p->variance(), (x - output).square().mean().item<double>(), 1e-12);
}

TEST(OptimalVariance, ScalingTheDataScalesItAndLeavesTheGradientOfTheCodeAlone) {
  const auto W = wavy({4, 6}, 2), x = wavy({5, 2, 3}, 1);
  const auto gradient_of_code = [&](Likelihood& likelihood, double c) {
    const auto z = wavy({5, 4}).requires_grad_();
    const auto output = (c * z.matmul(W)).view({5, 2, 3});
    const auto surrogate = likelihood.surrogate(output, c * x);
    return gradient_of((surrogate ? surrogate : likelihood.forward(output))->log_prob(c * x), z);
  };
  const auto optimal = normal(DecoderVariance::optimal), fixed = normal(DecoderVariance::fixed);
  expect_close(gradient_of_code(*optimal, 7), gradient_of_code(*optimal, 1), 1e-10, 1e-12);
  EXPECT_GT((gradient_of_code(*fixed, 7) - gradient_of_code(*fixed, 1)).abs().max().item<double>(), 1);
  const auto output = wavy({5, 2, 3});
  expect_close(optimal->surrogate(7 * output, 7 * x)->variance(), 49 * optimal->surrogate(output, x)->variance(), 1e-12);
}

TEST(OptimalVariance, EvaluationUsesTheBufferAndNothingOfTheData) {
  const auto likelihood = normal(DecoderVariance::optimal, 0.5);
  const auto x = wavy({5, 2, 3}, 1), output = wavy({5, 2, 3});
  const auto whole = likelihood->forward(output)->log_prob(x);
  const auto alone = likelihood->forward(output.slice(0, 3, 4))->log_prob(x.slice(0, 3, 4));
  expect_equal(alone, whole.slice(0, 3, 4));
  expect_close(likelihood->forward(output)->variance(), 0.25, 1e-12);  // where it starts
}

TEST(OptimalVariance, TheBufferAtTheOptimumAgreesAndIsWorseAnywhereElse) {
  const auto likelihood = normal(DecoderVariance::optimal, 3);
  const auto x = wavy({5, 2, 3}, 1), output = wavy({5, 2, 3});
  const auto best = likelihood->surrogate(output, x)->log_prob(x);
  const auto mse = (x - output).square().mean();
  const auto closed = -((kX / 2) * ((2 * std::numbers::pi * mse).log() + 1)).item<double>();
  EXPECT_NEAR(best.mean().item<double>(), closed, 1e-10);
  EXPECT_LT(likelihood->forward(output)->log_prob(x).mean().item<double>(), closed - 1);
  end_step(*likelihood);  // the first batch is all there is to average
  expect_close(likelihood->forward(output)->log_prob(x), best, 1e-10);
}

TEST(OptimalVariance, RunningMeanIsDebiasedAndMovesOnlyAfterAStep) {
  const auto likelihood = normal(DecoderVariance::optimal, 10);
  const auto output = torch::zeros({4, 2, 3}, torch::kDouble);
  const auto s2 = [&] { return likelihood->named_buffers()["s2"].item<double>(); };
  double moving = 0, decayed = 1;
  for (int step = 1; step <= 5; ++step) {
    const auto x = torch::full({4, 2, 3}, static_cast<double>(step), torch::kDouble);
    const double before = s2();
    likelihood->surrogate(output, x);
    EXPECT_EQ(s2(), before);
    end_step(*likelihood);
    moving = 0.99 * moving + 0.01 * step * step;
    decayed *= 0.99;
    EXPECT_NEAR(s2(), moving / (1 - decayed), 1e-10);
    const double after = s2();
    end_step(*likelihood);  // a step without a batch
    EXPECT_EQ(s2(), after);
  }
}

TEST(OptimalVariance, ComesBackToTheBit) {
  const auto saved = make_normal_likelihood({.variance = DecoderVariance::optimal}, {.field = kReal});
  for (int step = 0; step < 3; ++step) {
    saved->surrogate(wavy({5, 2, 3}, step).to(torch::kFloat), wavy({5, 2, 3}, 9).to(torch::kFloat));
    end_step(*saved);
  }
  const auto buffers = saved->named_buffers();
  ASSERT_EQ(buffers.size(), 2U);
  const auto loaded = make_normal_likelihood({.variance = DecoderVariance::optimal}, {.field = kReal});
  for (const auto& buffer : buffers) loaded->named_buffers()[buffer.key()].copy_(buffer.value());
  for (const auto& likelihood : {saved, loaded}) {
    likelihood->surrogate(wavy({5, 2, 3}, 4).to(torch::kFloat), wavy({5, 2, 3}, 9).to(torch::kFloat));
    end_step(*likelihood);
  }
  expect_equal(loaded->named_buffers()["s2"], saved->named_buffers()["s2"]);
}

TEST(OptimalVariance, OfALinearGaussianIsTheMeanOfTheDiscardedEigenvalues) {
  // Probabilistic PCA at its maximum: W = U (Lambda - s^2)^(1/2), posterior N(W^T x / lambda, s^2 / lambda).
  const std::vector<double> eigenvalues = {4, 2, 0.7, 0.3};
  const double s2 = 0.5;  // of the last two
  const int64_t N = 8, K = 20'000;
  // Rows whose second moment is exactly diag(eigenvalues): a Hadamard design.
  auto x = torch::zeros({N, 4}, torch::kDouble);
  for (int64_t i = 0; i < N; ++i) {
    for (int64_t d = 0; d < 4; ++d) {
      const int signs = __builtin_popcountll(static_cast<unsigned long long>(i & (d + 1)));
      x[i][d] = (signs % 2 == 0 ? 1 : -1) * std::sqrt(eigenvalues[static_cast<size_t>(d)]);
    }
  }
  Stream noise(3, "noise", at::kCPU, 0, at::kDouble);
  const auto lambda = values({4, 2});
  const auto w = (lambda - s2).sqrt();
  const auto mean = x.slice(1, 0, 2) * w / lambda;
  const auto z = mean + (s2 / lambda).sqrt() * noise.normal({K, N}, {2});
  const auto output = torch::cat({z * w, torch::zeros({K, N, 2}, torch::kDouble)}, -1);
  const auto likelihood = normal(DecoderVariance::optimal, 1, {.shape = {4}});
  const auto squares = (x - output).square().mean(-1).flatten();
  const auto error = squares.std().item<double>() / std::sqrt(static_cast<double>(squares.numel()));
  EXPECT_NEAR(likelihood->surrogate(output, x)->variance()[0][0][0].item<double>(), s2, 4 * error);
  EXPECT_LT(error, 2e-3);
}

TEST(OptimalVariance, CouplesTheBatchAndOthersDoNot) {
  for (const auto& [name, variance] : enum_names(DecoderVariance{})) {
    const auto likelihood = normal(variance);
    const auto& couples = dynamic_cast<CouplesBatch&>(*likelihood);
    EXPECT_EQ(couples.couples_batch_by().empty(), variance != DecoderVariance::optimal) << name;
    EXPECT_EQ(likelihood->surrogate(wavy({5, 2, 3}), wavy({5, 2, 3})) == nullptr, variance != DecoderVariance::optimal) << name;
  }
}

TEST(LearnedVariance, ConvergesToHalfTheLogOfTheMeanSquaredError) {
  const auto likelihood = normal(DecoderVariance::learned);
  ASSERT_EQ(likelihood->parameters().size(), 1U);
  auto log_scale = likelihood->named_parameters()["log_scale"];
  const auto x = wavy({5, 2, 3}, 1), output = 0.9 * x + 0.05 * wavy({5, 2, 3});
  for (int step = 0; step < 400; ++step) {
    const auto gradient = gradient_of(-likelihood->forward(output)->log_prob(x).mean(), log_scale);
    const torch::NoGradGuard no_grad;
    log_scale.sub_(0.05 * gradient);
  }
  const auto expected = 0.5 * (x - output).square().mean().log();
  expect_close(0.5 * likelihood->forward(output)->variance().log()[0][0][0], expected, 1e-6);
  EXPECT_LT(expected.item<double>(), -1);
}

TEST(LearnedVariance, StaysAboveItsBoundWithAGradient) {
  const auto likelihood = normal(DecoderVariance::learned);
  auto log_scale = likelihood->named_parameters()["log_scale"];
  {
    const torch::NoGradGuard no_grad;
    log_scale.fill_(-9);
  }
  const auto output = wavy({5, 2, 3});
  const auto p = likelihood->forward(output);
  EXPECT_GT(p->variance().min().item<double>(), std::exp(-12));
  EXPECT_LT(p->variance().max().item<double>(), std::exp(-11.8));
  EXPECT_GT(gradient_of(p->log_prob(output).mean(), log_scale).abs().item<double>(), 1e-2);
}

TEST(PerPixelVariance, TakesTheSecondHalfOfTheFirstExtent) {
  const FieldSpec image = {.shape = {3, 4, 5}, .kind = ValueKind::unit}, vector = {.shape = {7}}, number = {.shape = {}};
  for (const auto& [field, parameters] :
       {std::pair{image, Shape{6, 4, 5}}, {vector, Shape{14}}, {number, Shape{2}}, {kReal, Shape{4, 3}}}) {
    const auto likelihood = normal(DecoderVariance::per_pixel, 0.5, field);
    EXPECT_EQ(likelihood->parameter_shape(), parameters);
    const auto output = wavy(joined({8, 2}, parameters));
    const auto halves = output.chunk(2, 2);
    const auto p = likelihood->forward(output);
    EXPECT_EQ(p->batch_shape(), (Shape{8, 2}));
    const auto shape = joined({8, 2}, field.shape);
    expect_close(p->mean(), halves[0].reshape(shape), 1e-14);
    expect_close(p->variance(), 0.25 * halves[1].reshape(shape).exp(), 0.02);  // the soft bound moves log s by 0.01 at most
    const auto mean = wavy(field.shape);
    const auto start = likelihood->forward(likelihood->bias_for_mean(mean).unsqueeze(0));
    expect_close(start->mean()[0], mean, 1e-12);
    expect_close(start->variance(), 0.25, 0.02);
  }
}

TEST(PerPixelVariance, GradientsReachBothHalves) {
  const auto likelihood = normal(DecoderVariance::per_pixel);
  expect_gradient_matches(
      [&](const std::vector<Tensor>& in) {
        return likelihood->forward(in[0])->log_prob(wavy({2, 2, 3}, 1));
      },
      {wavy({2, 4, 3})});
}

TEST(NormalPrior, StartsAtTheStandardNormalAndLearns) {
  Stream init(1, "init", at::kCPU);
  const auto prior = make_normal_prior({}, {.latent_size = 3, .init = init});
  const auto p = prior->forward(5);
  EXPECT_EQ(p->batch_shape(), (Shape{5}));
  const auto z = wavy({2, 5, 3}).to(torch::kFloat);
  expect_close(p->log_prob(z), StandardNormal({5}, {3}).log_prob(z), 1e-6);
  for (const auto& parameter : prior->parameters())
    EXPECT_GT(gradient_of(p->log_prob(z), parameter).abs().sum().item<double>(), 0);
  const auto spread = make_normal_prior({.spread = 2}, {.latent_size = 200, .init = init});
  EXPECT_NEAR(spread->named_parameters()["mean"].std().item<double>(), 2, 0.4);
}

}  // namespace
}  // namespace elbo::decoder_variance_test
