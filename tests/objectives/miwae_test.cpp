#include "elbo/objectives/miwae.h"

#include "elbo/math/numeric.h"
#include "elbo/objectives/ciwae.h"
#include "elbo/objectives/elbo.h"
#include "elbo/objectives/iwae.h"
#include "elbo/objectives/piwae.h"
#include "support/row_gaussian.h"

namespace elbo::miwae_test {

/// What `objective` gives with the noise of this seed.
LossTerms losses_of(const std::shared_ptr<Objective>& objective, const Batch& batch, uint64_t seed = 1) {
  TestStep test(seed);
  auto step = test.step();
  return objective->losses(batch, step);
}

LinearGaussian inexact_model() {
  LinearGaussian model(values({1, 1, -1, 1, 1, 1, 1, -1}, {4, 2}), values({0.1, -0.2, 0.3, 0.4}), 0.9);
  model.make_posterior_exact();
  const torch::NoGradGuard no_grad;
  model.c.add_(0.4);
  model.log_var.add_(0.6);
  return model;
}

const Batch kRows = batch_of(wavy({5, 4}));

std::vector<Tensor> all_gradients(const LinearGaussian& model, const Tensor& loss) {
  return torch::autograd::grad({loss.sum()}, {model.W, model.b, model.prior_mean, model.A, model.c, model.log_var}, {}, true);
}

void expect_same_gradients(const std::vector<Tensor>& actual, const std::vector<Tensor>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) expect_equal(actual[i], expected[i]);
}

TEST(Miwae, OfOneSampleIsTheMonteCarloElbo) {
  auto model = inexact_model();
  const auto elbo = losses_of(make_elbo({.samples = 6, .kl = KlEstimator::monte_carlo}, model, {}), kRows);
  const auto miwae = losses_of(make_miwae({.repetitions = 6, .samples = 1}, model, {}), kRows);
  expect_close(miwae.loss.detach(), elbo.loss.detach(), 1e-12);
  expect_close(term(miwae, "bound"), term(elbo, "bound"), 1e-12);
}

TEST(Miwae, OfOneRepetitionIsIwaeToTheBit) {
  auto model = inexact_model();
  const auto iwae = losses_of(make_iwae({.samples = 6}, model, {}), kRows);
  const auto miwae = losses_of(make_miwae({.repetitions = 1, .samples = 6}, model, {}), kRows);
  expect_equal(miwae.loss.detach(), iwae.loss.detach());
  expect_same_gradients(all_gradients(model, miwae.loss), all_gradients(model, iwae.loss));
}

TEST(Miwae, NormalisesWeightsWithinEachBoundNotAcrossThem) {
  // The known mistake takes the softmax over the R bounds: with R = 2 and K = 5 the two differ.
  auto model = inexact_model();
  TestStep test;
  auto step = test.step();
  const auto latents = model.infer(kRows, 10, step.noise);
  const auto log_w = log_weights(latents, log_likelihood(model.decode(latents, kRows))).view({2, 5, 5});  // [R, K, B]
  const auto surrogate = [&](int64_t dim) {
    return -(torch::softmax(log_w.detach(), dim) * log_w).sum() / (10.0 / static_cast<double>(log_w.size(dim)));
  };
  const auto loss = losses_of(make_miwae({.repetitions = 2, .samples = 5}, model, {}), kRows).loss;
  const auto actual = all_gradients(model, loss), right = all_gradients(model, surrogate(1)),
             wrong = all_gradients(model, surrogate(0));
  for (size_t i = 0; i < actual.size(); ++i) {
    expect_close(actual[i], right[i], 1e-10, 1e-12);
    EXPECT_GT((actual[i] - wrong[i]).abs().max().item<double>(), 1e-3);
  }
  expect_close(loss.detach(), -(torch::logsumexp(log_w, 1) - std::log(5.0)).mean(0).detach(), 1e-12);
}

TEST(Miwae, MeanDoesNotDependOnTheNumberOfRepetitions) {
  auto model = scalar_conjugate(0.6, 2.0 / 3);
  const auto bound = [&](int64_t R, int64_t B, uint64_t seed) {
    const torch::NoGradGuard no_grad;
    const auto objective = make_miwae({.repetitions = R, .samples = 4}, model, {});
    return mean_and_error(term(losses_of(objective, constant_batch(B, 1.0), seed), "bound"));
  };
  const auto one = bound(1, 200'000, 2), many = bound(8, 25'000, 3);
  EXPECT_NEAR(one.mean, many.mean, 4 * std::hypot(one.standard_error, many.standard_error));
  const auto tighter =
      mean_and_error(term(losses_of(make_iwae({.samples = 32}, model, {}), constant_batch(25'000, 1.0), 4), "bound"));
  EXPECT_GT(tighter.mean, many.mean + 10 * many.standard_error) << "32 samples in one bound are another thing";
}

TEST(Miwae, CountsAllItsSamples) {
  auto model = inexact_model();
  EXPECT_EQ(make_miwae({.repetitions = 3, .samples = 7}, model, {})->samples(), 21);
  EXPECT_EQ(make_piwae({.repetitions = 3, .samples = 7}, model, {})->samples(), 21);
}

/// A posterior of two equally likely components that are drawn in turn, z [S, K, B, D]: the same draw as one of 2 K samples.
struct Stratified final : Variational {
  Latents infer(const Batch& batch, int64_t K, Noise& noise) override {
    auto latents = inner.infer(batch, 2 * K, noise);
    auto& z = latents.layers[0].z;
    z = z.reshape({2, K, batch.size(), 2});
    return latents;
  }
  Latents prior(const Batch& batch, int64_t K, Noise& noise) override { return inner.prior(batch, K, noise); }
  std::vector<Observation> decode(const Latents& latents, const Batch& batch) override { return inner.decode(latents, batch); }
  std::vector<Tensor> inference_parameters() override { return inner.inference_parameters(); }
  LinearGaussian inner = inexact_model();
};

TEST(Miwae, OfAMixtureEachBoundTakesSamplesOfEveryStratum) {
  Stratified model;
  TestStep test;
  auto step = test.step();
  const auto latents = model.infer(kRows, 6, step.noise);  // [2, 6, B, D]
  const auto log_w = log_weights(latents, log_likelihood(model.decode(latents, kRows)));
  const auto groups = log_w.view({2, 3, 2, 5}).permute({1, 0, 2, 3}).reshape({3, 4, 5});  // [R, S K, B]
  const auto expected = (torch::logsumexp(groups, 1) - std::log(4.0)).mean(0);
  const auto miwae = losses_of(make_miwae({.repetitions = 3, .samples = 2}, model, {}), kRows);
  expect_close(miwae.loss.detach(), -expected.detach(), 1e-12);
}

TEST(Piwae, EachNetworkGetsTheGradientOfItsOwnBoundToTheBit) {
  auto model = inexact_model();
  const auto piwae = losses_of(make_piwae({.repetitions = 3, .samples = 4}, model, {}), kRows);
  ASSERT_EQ(piwae.routes.size(), 2U);
  const auto& decoder = piwae.routes[0];
  const auto& encoder = piwae.routes[1];
  const auto gradient = [](const Route& route) { return torch::autograd::grad({route.loss.sum()}, route.parameters, {}, true); };

  const std::vector<Tensor> theta = {model.W, model.b, model.prior_mean}, phi = {model.A, model.c, model.log_var};
  ASSERT_EQ(decoder.parameters.size(), 3U);
  ASSERT_EQ(encoder.parameters.size(), 3U);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_TRUE(decoder.parameters[i].is_same(theta[i]));
    EXPECT_TRUE(encoder.parameters[i].is_same(phi[i]));
  }
  const auto iwae = losses_of(make_iwae({.samples = 12}, model, {}), kRows);
  expect_same_gradients(gradient(decoder), torch::autograd::grad({iwae.loss.sum()}, theta, {}, true));
  const auto miwae = losses_of(make_miwae({.repetitions = 3, .samples = 4}, model, {}), kRows);
  expect_same_gradients(gradient(encoder), torch::autograd::grad({miwae.loss.sum()}, phi, {}, true));
  expect_equal(term(piwae, "bound"), term(iwae, "bound"));
  expect_equal(term(piwae, "encoder_bound"), term(miwae, "bound"));
  EXPECT_GT((term(iwae, "bound") - term(miwae, "bound")).abs().max().item<double>(), 1e-3) << "else the test says nothing";
}

TEST(Piwae, LeavesFrozenParametersOut) {
  auto model = inexact_model();
  model.prior_mean.set_requires_grad(false);
  for (auto& parameter : model.inference_parameters()) parameter.set_requires_grad(false);
  const auto piwae = losses_of(make_piwae({.repetitions = 2, .samples = 3}, model, {}), kRows);
  ASSERT_EQ(piwae.routes.size(), 1U);
  EXPECT_EQ(piwae.routes[0].parameters.size(), 2U);
}

TEST(Ciwae, LimitsAreTheElboAndIwae) {
  auto model = inexact_model();
  const auto ciwae = [&](double beta) { return losses_of(make_ciwae({.samples = 6, .beta = beta}, model, {}), kRows); };
  const auto elbo = losses_of(make_elbo({.samples = 6, .kl = KlEstimator::monte_carlo}, model, {}), kRows);
  const auto iwae = losses_of(make_iwae({.samples = 6}, model, {}), kRows);
  expect_close(term(ciwae(1), "bound"), term(elbo, "bound"), 1e-12);
  expect_equal(term(ciwae(0), "bound"), term(iwae, "bound"));
  const auto half = ciwae(0.25);
  expect_close(term(half, "bound"), 0.25 * term(elbo, "bound") + 0.75 * term(iwae, "bound"), 1e-12);
  expect_close(half.loss.detach(), -term(half, "bound"), 1e-12);
  const auto actual = all_gradients(model, half.loss), first = all_gradients(model, elbo.loss),
             second = all_gradients(model, iwae.loss);
  for (size_t i = 0; i < actual.size(); ++i) expect_close(actual[i], 0.25 * first[i] + 0.75 * second[i], 1e-9, 1e-12);
}

TEST(ImportanceBounds, AreTheExactEvidenceWhenThePosteriorIsExact) {
  auto model = inexact_model();
  model.make_posterior_exact();
  const auto evidence = model.log_evidence(kRows.at("x"));
  expect_close(term(losses_of(make_miwae({}, model, {}), kRows), "bound"), evidence, 1e-10);
  expect_close(term(losses_of(make_piwae({}, model, {}), kRows), "bound"), evidence, 1e-10);
  expect_close(term(losses_of(make_ciwae({}, model, {}), kRows), "bound"), evidence, 1e-10);
}

/// Reports another likelihood than it optimises, as an optimal variance does.
struct Surrogate final : Variational {
  Latents infer(const Batch& batch, int64_t K, Noise& noise) override { return inner.infer(batch, K, noise); }
  Latents prior(const Batch& batch, int64_t K, Noise& noise) override { return inner.prior(batch, K, noise); }
  std::vector<Observation> decode(const Latents& latents, const Batch& batch) override {
    auto observations = inner.decode(latents, batch);
    observations[0].reported =
        std::exchange(observations[0].likelihood, Normal::with_scale(observations[0].likelihood->mean(), 3, 1));
    return observations;
  }
  std::vector<Tensor> inference_parameters() override { return inner.inference_parameters(); }
  LinearGaussian inner = inexact_model();
};

TEST(ImportanceBounds, AreReportedByTheLikelihoodThatHasNotSeenItsTarget) {
  Surrogate model;
  auto plain = inexact_model();
  const auto pairs = std::vector<std::pair<std::shared_ptr<Objective>, std::shared_ptr<Objective>>>{
      {make_iwae({.samples = 6}, model, {}), make_iwae({.samples = 6}, plain, {})},
      {make_miwae({.repetitions = 2, .samples = 3}, model, {}), make_miwae({.repetitions = 2, .samples = 3}, plain, {})},
      {make_ciwae({.samples = 6}, model, {}), make_ciwae({.samples = 6}, plain, {})}};
  for (const auto& [surrogate, honest] : pairs) {
    const auto actual = losses_of(surrogate, kRows), expected = losses_of(honest, kRows);
    for (const auto& [name, value] : expected.terms) expect_close(term(actual, name), value, 1e-10);
    EXPECT_GT((actual.loss + term(actual, "bound")).abs().min().item<double>(), 0.1) << "the loss is the surrogate's";
  }
}

// ---- signal to noise, on x = 1, q = N(0.6, 2/3), p(z) = N(0, 1): phi is q's mean, theta the prior's

struct SignalToNoise {
  double theta = 0;
  double phi = 0;
};

SignalToNoise signal_to_noise(int64_t R, int64_t K, int64_t draws) {
  const int64_t B = std::min<int64_t>(draws, 800'000 / (R * K));
  Tensor sum = torch::zeros({2}, torch::kDouble), square = torch::zeros({2}, torch::kDouble);
  int64_t count = 0;
  for (uint64_t seed = 1; count < draws; ++seed, count += B) {
    RowGaussian rows(B, 0.6, 2.0 / 3);
    const auto loss = losses_of(make_miwae({.repetitions = R, .samples = K}, rows, {}), constant_batch(B, 1.0), seed).loss.sum();
    const auto gradients = torch::autograd::grad({-loss}, {rows.prior_mean, rows.mean});
    const auto both = torch::cat(gradients, 1);  // [B, 2]
    sum += both.sum(0);
    square += both.square().sum(0);
  }
  const auto mean = sum / count;
  const auto ratio = mean.abs() / (square / count - mean.square()).sqrt();
  return {.theta = ratio[0].item<double>(), .phi = ratio[1].item<double>()};
}

/// Slope of the least-squares line through (log x, log y).
double log_slope(const std::vector<double>& xs, const std::vector<double>& ys) {
  const auto x = values(xs).log(), y = values(ys).log();
  return (((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()).item<double>();
}

TEST(SlowMiwae, DecodersSignalGrowsWithTheRootOfK) {
  const std::vector<std::pair<int64_t, double>> known = {{1, 0.734}, {3, 1.31}, {10, 2.42}, {30, 4.2}, {100, 7.7}};
  std::vector<double> ks, ratios;
  for (const auto& [K, expected] : known) {
    ks.push_back(static_cast<double>(K));
    ratios.push_back(signal_to_noise(1, K, 100'000).theta);
    EXPECT_NEAR(ratios.back(), expected, 0.02 * expected) << "K = " << K;
  }
  EXPECT_NEAR(log_slope(ks, ratios), 0.5, 0.05);
}

TEST(SlowMiwae, EncodersSignalFallsWithTheRootOfK) {
  const std::vector<std::pair<int64_t, double>> known = {{4, 0.0506}, {8, 0.0355}, {16, 0.0252}, {32, 0.0179}};
  std::vector<double> ks, ratios;
  for (const auto& [K, expected] : known) {
    ks.push_back(static_cast<double>(K));
    ratios.push_back(signal_to_noise(1, K, 1'500'000).phi);
    EXPECT_NEAR(ratios.back(), expected, 4 / std::sqrt(1.5e6)) << "K = " << K;
  }
  EXPECT_NEAR(log_slope(ks, ratios), -0.5, 0.07);  // 4 points with a standard error of 2 to 5 % each
}

TEST(SlowMiwae, RepetitionsRaiseBothSignals) {
  const auto one = signal_to_noise(1, 4, 400'000), four = signal_to_noise(4, 4, 400'000);
  EXPECT_NEAR(four.theta / one.theta, 2, 0.05);
  EXPECT_NEAR(four.phi, 2 * 0.0506, 4 / std::sqrt(4e5));
}

}  // namespace elbo::miwae_test
