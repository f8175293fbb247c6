#include "elbo/objectives/iwae.h"

#include "elbo/base/error.h"
#include "elbo/math/numeric.h"
#include "elbo/objectives/elbo.h"
#include "support/row_gaussian.h"

namespace elbo::iwae_test {

LossTerms losses_of(Variational& model, const IwaeConfig& config, const Batch& batch, uint64_t seed = 1) {
  TestStep test(seed);
  auto step = test.step();
  return make_iwae(config, model, {})->losses(batch, step);
}

constexpr auto kStandard = PathwiseEstimator::standard;
constexpr auto kStl = PathwiseEstimator::stl;
constexpr auto kDreg = PathwiseEstimator::dreg;

TEST(Iwae, IsTheExactEvidenceForEveryKWhenThePosteriorIsExact) {
  LinearGaussian model(values({1, 1, -1, 1, 1, 1, 1, -1}, {4, 2}), values({0.1, -0.2, 0.3, 0.4}), 0.6);
  model.make_posterior_exact();
  const auto x = wavy({5, 4});
  for (const int64_t K : {1, 2, 7, 50}) {
    const auto losses = losses_of(model, {.samples = K}, batch_of(x));
    expect_close(term(losses, "bound"), model.log_evidence(x), 1e-10);
    expect_close(term(losses, "effective_sample_size"), static_cast<double>(K), 1e-9);
  }
}

TEST(Iwae, WithOneSampleIsTheMonteCarloElbo) {
  auto model = scalar_conjugate(0.6, 2.0 / 3);
  const auto batch = constant_batch(9, 1.0);
  TestStep test;
  auto step = test.step();
  const auto elbo = make_elbo({.kl = KlEstimator::monte_carlo}, model, {})->losses(batch, step);
  expect_close(term(losses_of(model, {.samples = 1}, batch), "bound"), term(elbo, "bound"), 1e-12);
}

/// x = 0, q = N(0, 1): log p - L_K has known values.
TEST(Iwae, GapsOfTheScalarModel) {
  auto model = scalar_conjugate(0, 1);
  const auto batch = constant_batch(40000, 0.0);
  const double evidence = model.log_evidence(batch.at("x"))[0].item<double>();
  EXPECT_NEAR(evidence, -0.5 * std::log(4 * M_PI), 1e-12);
  double last = -INFINITY;
  for (const auto& [K, gap] : std::vector<std::pair<int64_t, double>>{{1, 0.15343}, {2, 0.0513}, {5, 0.0170}, {10, 0.0079}}) {
    const auto bound = mean_and_error(term(losses_of(model, {.samples = K}, batch, 5), "bound"));
    EXPECT_NEAR(evidence - bound.mean, gap, 4 * bound.standard_error + 5e-5) << "K = " << K;
    EXPECT_GT(bound.mean, last) << "nondecreasing in K";
    last = bound.mean;
  }
}

TEST(SlowIwae, GapTendsToHalfChiSquareOverK) {
  auto model = scalar_conjugate(0, 1);
  const double evidence = -0.5 * std::log(4 * M_PI);
  const int64_t K = 100;
  double sum = 0;
  double square = 0;
  const int64_t rounds = 60;
  for (int64_t round = 0; round < rounds; ++round) {
    const torch::NoGradGuard no_grad;
    const auto gap = (evidence - term(losses_of(model, {.samples = K}, constant_batch(20000, 0.0), 100 + round), "bound"))
                         .mean()
                         .item<double>();
    sum += gap;
    square += gap * gap;
  }
  const double mean = sum / rounds;
  const double error = std::sqrt((square / rounds - mean * mean) / (rounds - 1));
  EXPECT_NEAR(K * mean, 0.07735, 4 * K * error + 0.001);
}

TEST(Iwae, BestSampleWeighsMost) {
  // The gradient to z of sample k is proportional to its normalised weight: the sample nearest to the truth gets the most.
  auto model = scalar_conjugate(0, 4);
  TestStep test;
  auto step = test.step();
  const auto batch = constant_batch(1, 3.0);
  const auto latents = model.infer(batch, 20, step.noise);
  const auto log_w = log_weights(latents, log_likelihood(model.decode(latents, batch)));
  const auto gradient = torch::autograd::grad({log_mean_exp(latents, log_w).sum()}, {log_w})[0];
  expect_close(gradient, torch::softmax(log_w, 0), 1e-10);
  EXPECT_EQ(gradient.argmax().item<int64_t>(), log_w.argmax().item<int64_t>());
}

TEST(Iwae, SurrogateOfNormalisedWeightsHasTheSameGradient) {
  auto model = scalar_conjugate(0.6, 2.0 / 3);
  const auto batch = constant_batch(11, 1.0);
  TestStep test;
  auto step = test.step();
  const auto latents = model.infer(batch, 6, step.noise);
  const auto log_w = log_weights(latents, log_likelihood(model.decode(latents, batch)));
  const auto surrogate = -(torch::softmax(log_w.detach(), 0) * log_w).sum();
  const auto expected = torch::autograd::grad({surrogate}, {model.c, model.log_var, model.prior_mean, model.W});
  const auto loss = losses_of(model, {.samples = 6}, batch).loss.sum();
  const auto actual = torch::autograd::grad({loss}, {model.c, model.log_var, model.prior_mean, model.W});
  for (size_t i = 0; i < actual.size(); ++i) expect_close(actual[i], expected[i], 1e-10);
}

TEST(Iwae, EstimatorsReportTheSameBound) {
  auto model = scalar_conjugate(0.6, 2.0 / 3);
  const auto batch = constant_batch(4, 1.0);
  const auto bound = term(losses_of(model, {.samples = 5}, batch), "bound");
  expect_close(term(losses_of(model, {.samples = 5, .estimator = kStl}, batch), "bound"), bound, 1e-12);
  expect_close(term(losses_of(model, {.samples = 5, .estimator = kDreg}, batch), "bound"), bound, 1e-12);
}

TEST(Iwae, EstimatorsLeaveTheModelsGradientAlone) {
  auto model = scalar_conjugate(0.6, 2.0 / 3);
  const auto batch = constant_batch(4, 1.0);
  const auto gradient = [&](PathwiseEstimator estimator) {
    const auto loss = losses_of(model, {.samples = 5, .estimator = estimator}, batch).loss.sum();
    return torch::autograd::grad({loss}, {model.W, model.b, model.prior_mean});
  };
  const auto expected = gradient(kStandard);
  for (const auto estimator : {kStl, kDreg}) {
    const auto actual = gradient(estimator);
    for (size_t i = 0; i < actual.size(); ++i) expect_close(actual[i], expected[i], 1e-10);
  }
}

/// d loss / d mean of q, one estimate for each of B independent rows.
Tensor mean_gradients(PathwiseEstimator estimator, int64_t K, int64_t B, uint64_t seed) {
  TestStep test(seed);
  auto step = test.step();
  RowGaussian rows(B, 0.6, 2.0 / 3);
  const auto loss = make_iwae({.samples = K, .estimator = estimator}, rows, {})->losses(constant_batch(B, 1.0), step).loss.sum();
  return torch::autograd::grad({-loss}, {rows.mean})[0].squeeze(1);
}

TEST(Iwae, DregIsStlForOneSample) { expect_equal(mean_gradients(kDreg, 1, 64, 3), mean_gradients(kStl, 1, 64, 3)); }

TEST(Iwae, DregIsUnbiased) {
  // x = 1, q = N(0.6, 2/3): the true gradient by q's mean is -0.200 for one sample (d/dm of the ELBO: x - 2 m).
  const auto one = mean_and_error(mean_gradients(kDreg, 1, 200000, 7));
  EXPECT_NEAR(one.mean, -0.200, 4 * one.standard_error);
  const auto dreg = mean_and_error(mean_gradients(kDreg, 10, 100000, 8));
  const auto plain = mean_and_error(mean_gradients(kStandard, 10, 200000, 9));
  EXPECT_NEAR(dreg.mean, plain.mean, 4 * std::hypot(dreg.standard_error, plain.standard_error));
  EXPECT_NEAR(dreg.mean, -0.013, 4 * dreg.standard_error + 0.001);
}

TEST(Iwae, StlIsBiasedForManySamplesAsDocumented) {
  const auto stl = mean_and_error(mean_gradients(kStl, 100, 20000, 10));
  EXPECT_NEAR(stl.mean, -0.150, 4 * stl.standard_error + 0.002);
}

TEST(SlowIwae, DregSignalGrowsWithKWhileThePlainOneFalls) {
  const auto signal_to_noise = [](PathwiseEstimator estimator, int64_t K, int64_t B) {
    const auto gradients = mean_gradients(estimator, K, B, 11);
    return std::abs(gradients.mean().item<double>()) / gradients.std().item<double>();
  };
  EXPECT_NEAR(signal_to_noise(kDreg, 1, 200000), 0.49, 0.02);
  EXPECT_NEAR(signal_to_noise(kDreg, 10, 100000), 1.34, 0.05);
  EXPECT_NEAR(signal_to_noise(kDreg, 100, 40000), 4.2, 0.2);
  EXPECT_NEAR(signal_to_noise(kDreg, 1000, 4000), 13.2, 0.8);
  EXPECT_NEAR(signal_to_noise(kStandard, 1, 2000000), 0.122, 0.004);
  EXPECT_LT(signal_to_noise(kStandard, 10, 400000), 0.09);
}

TEST(Iwae, StlAndDregGradientsVanishSampleForSampleAtTheExactPosterior) {
  LinearGaussian model(values({1, 1, -1, 1, 1, 1, 1, -1}, {4, 2}), values({0.1, -0.2, 0.3, 0.4}), 0.6);
  model.make_posterior_exact();
  const auto batch = batch_of(wavy({5, 4}));
  const auto largest = [&](const IwaeConfig& config) {
    double value = 0;
    const auto loss = losses_of(model, config, batch).loss;
    for (int64_t row = 0; row < loss.size(0); ++row) {
      for (const auto& gradient : torch::autograd::grad({loss[row]}, {model.A, model.c, model.log_var}, {}, true)) {
        value = std::max(value, gradient.abs().max().item<double>());
      }
    }
    return value;
  };
  EXPECT_LT(largest({.samples = 1, .estimator = kStl}), 1e-12);
  EXPECT_LT(largest({.samples = 8, .estimator = kDreg}), 1e-12);
  EXPECT_GT(largest({.samples = 8}), 1e-3) << "the plain estimator is noisy even there";
}

TEST(Iwae, EvaluatesWithoutGradients) {
  const torch::NoGradGuard no_grad;
  auto model = scalar_conjugate(0.6, 2.0 / 3);
  expect_finite(losses_of(model, {.samples = 3, .estimator = kDreg}, constant_batch(2, 1.0)).loss);
}

TEST(Iwae, RefusesDregForAHierarchy) {
  struct TwoLayers final : Variational {
    Latents infer(const Batch& batch, int64_t K, Noise& noise) override {
      auto latents = inner.infer(batch, K, noise);
      latents.layers.push_back(latents.layers[0]);
      return latents;
    }
    Latents prior(const Batch& batch, int64_t K, Noise& noise) override { return inner.prior(batch, K, noise); }
    std::vector<Observation> decode(const Latents& latents, const Batch& batch) override { return inner.decode(latents, batch); }
    std::vector<Tensor> inference_parameters() override { return {}; }
    LinearGaussian inner = scalar_conjugate(0.6, 2.0 / 3);
  } model;
  EXPECT_THROW(losses_of(model, {.samples = 3, .estimator = kDreg}, constant_batch(2, 1.0)), UsageError);
}

}  // namespace elbo::iwae_test
