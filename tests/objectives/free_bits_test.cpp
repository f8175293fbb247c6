#include "elbo/objectives/free_bits.h"

#include "support/linear_gaussian.h"

namespace elbo::free_bits_test {

LossTerms losses_of(Variational& model, const FreeBitsConfig& config, const Batch& batch, uint64_t seed = 1) {
  TestStep test(seed);
  auto step = test.step();
  return make_free_bits(config, model, {})->losses(batch, step);
}

constexpr auto kLatent = FreeBitsOf::latent;
constexpr auto kTotal = FreeBitsOf::total;
constexpr auto kBatch = FreeBitsOver::batch;
constexpr auto kExample = FreeBitsOver::example;

/// q = N(A x, I): KL_d = (A x)_d^2 / 2. The first latent says much about x, the second little, and no latent is decoded (W = 0),
/// so that all gradients of A come through the KL.
struct TwoLatents {
  TwoLatents() : model(torch::zeros({3, 2}), torch::zeros({3}), 1) {
    const torch::NoGradGuard no_grad;
    model.A.copy_(wavy({2, 3}, 0.4) * values({1.5, 0.1}, {2, 1}));
  }
  Tensor kl() const { return 0.5 * torch::matmul(x, model.A.t()).square().detach(); }  // [B, 2]
  LinearGaussian model;
  Tensor x = wavy({5, 3}, 0.7) * 2;
};

Tensor gradient_of_A(const TwoLatents& two, const LossTerms& losses) {
  auto total = losses.loss.sum();
  if (losses.batch_loss.defined()) total = total + losses.batch_loss;
  return torch::autograd::grad({total}, {two.model.A})[0];
}

TEST(FreeBits, SumsTheLargerOfLambdaAndTheMeanKlOfEachLatent) {
  TwoLatents two;
  const auto losses = losses_of(two.model, {.lambda = scheduled_number(0.25)}, batch_of(two.x));
  const auto kl = two.kl().mean(0);
  ASSERT_GT(kl[0].item<double>(), 0.25);
  ASSERT_LT(kl[1].item<double>(), 0.25);
  expect_close(losses.batch_loss, kl[0] + 0.25, 1e-10);
  expect_close(losses.loss.detach(), term(losses, "reconstruction"), 1e-12);
}

TEST(FreeBits, ALatentBelowLambdaGetsExactlyNoGradientTheOthersTheirFullOne) {
  TwoLatents two;
  const auto gradient = gradient_of_A(two, losses_of(two.model, {.lambda = scheduled_number(0.25)}, batch_of(two.x)));
  expect_equal(gradient[1], torch::zeros({3}, torch::kDouble));
  const auto m = torch::matmul(two.x, two.model.A.t()).detach();
  expect_close(gradient[0], torch::matmul(m.t(), two.x)[0] / 5, 1e-10);  // of the batch's mean of m^2 / 2
}

TEST(FreeBits, WithoutAnyItIsTheElbo) {
  TwoLatents two;
  const auto batch = batch_of(two.x);
  TestStep test;
  auto step = test.step();
  const auto elbo = make_elbo({}, two.model, {})->losses(batch, step);
  for (const auto of : {kLatent, kTotal}) {
    for (const auto over : {kBatch, kExample}) {
      const auto losses = losses_of(two.model, {.lambda = scheduled_number(0), .of = of, .over = over}, batch);
      auto total = losses.loss.mean();
      if (losses.batch_loss.defined()) total = total + losses.batch_loss;
      expect_close(total, elbo.loss.mean(), 1e-10);
      expect_close(term(losses, "bound"), term(elbo, "bound"), 1e-10);
    }
  }
}

TEST(FreeBits, OverExamplesEachExampleIsComparedWithLambda) {
  TwoLatents two;
  const auto losses = losses_of(two.model, {.lambda = scheduled_number(1), .of = kLatent, .over = kExample}, batch_of(two.x));
  EXPECT_FALSE(losses.batch_loss.defined());
  expect_close(losses.loss.detach() - term(losses, "reconstruction"), two.kl().clamp_min(1).sum(1), 1e-10);
}

TEST(FreeBits, OfTheTotalTheSumOfLatentsIsComparedWithLambda) {
  TwoLatents two;
  const double lambda = two.kl().sum(1).median().item<double>() + 0.01;
  const auto example =
      losses_of(two.model, {.lambda = scheduled_number(lambda), .of = kTotal, .over = kExample}, batch_of(two.x));
  expect_close(example.loss.detach() - term(example, "reconstruction"), two.kl().sum(1).clamp_min(lambda), 1e-6);
  const auto batch = losses_of(two.model, {.lambda = scheduled_number(100), .of = kTotal, .over = kBatch}, batch_of(two.x));
  expect_close(batch.batch_loss, 100, 1e-6);
  expect_equal(gradient_of_A(two, batch), torch::zeros({2, 3}, torch::kDouble));
}

TEST(FreeBits, OnlyTheMeanOfTheBatchCouplesIt) {
  TwoLatents two;
  EXPECT_TRUE(make_free_bits({}, two.model, {})->couples_batch());
  EXPECT_FALSE(make_free_bits({.over = kExample}, two.model, {})->couples_batch());
}

TEST(FreeBits, MonteCarloAgreesWithTheClosedFormInExpectation) {
  TwoLatents two;
  const FreeBitsConfig config{.lambda = scheduled_number(0), .samples = 20'000, .kl = KlEstimator::monte_carlo};
  const auto losses = losses_of(two.model, config, batch_of(two.x));
  // The standard deviation of log q - log p of one sample is |m|, here at most 5.
  expect_close(term(losses, "kl"), two.kl().sum(1), 0, 4 * 5 / std::sqrt(20'000.0));
}

}  // namespace elbo::free_bits_test
