#include "elbo/evaluation/variational_bound.h"

#include <filesystem>

#include "elbo/evaluation/evaluator.h"
#include "elbo/evaluation/recorded_noise.h"
#include "elbo/math/numeric.h"
#include "fakes.h"

using namespace elbo;

namespace variational_bound_test {

EvaluationContext context_of(Model& model, int64_t N, int64_t batch_size = 64, int64_t limit = 0) {
  return {.model = model, .dataset = fakes::wavy_rows(N), .limit = limit, .seed = 1, .batch_size = batch_size};
}

/// The recorded noise, and -log p(x | z) and KL(q || p) of near_posterior() by hand.
struct ByHand {
  explicit ByHand(const Tensor& noise) {
    const auto x = 2 * wavy({noise.size(0), 1});
    const auto mean = x * values({0.4, 0.3});
    const auto variance = values({0.6, 0.7});
    const auto z = mean + variance.sqrt() * noise.to(at::kDouble);
    reconstruction = 0.5 * ((x - (z * values({1, 0.5})).sum(1, true)).square() + std::log(2 * M_PI)).squeeze(1);
    kl = 0.5 * (variance + mean.square() - 1 - variance.log()).sum(1);
    monte_carlo_kl = (0.5 * (z.square() - (z - mean).square() / variance - variance.log())).sum(1);
  }
  Tensor reconstruction, kl, monte_carlo_kl;
};

TEST(ElboMetric, IsTheOneSampleBoundWithTheClosedFormKl) {
  const auto model = fakes::near_posterior();
  auto context = context_of(*model, 100);
  GranuleNoise source(1);
  RecordingNoise recording(source);
  context.elbo_noise = &recording;
  const auto terms = bound_terms(context);
  const ByHand expected(recording.table()[0].second);
  expect_close(terms.reconstruction, expected.reconstruction, 1e-12);
  expect_close(terms.kl, expected.kl, 1e-12);
  expect_close(terms.elbo, -(expected.reconstruction + expected.kl), 1e-12);
  EXPECT_TRUE(terms.monte_carlo_layers.empty());
  EXPECT_EQ(terms.elbo.scalar_type(), at::kDouble);
}

TEST(ElboMetric, SaysWhereTheKlIsMonteCarlo) {
  const auto model = fakes::near_posterior();
  model->posterior = fakes::ScalarModel::Posterior::opaque;
  auto context = context_of(*model, 100);
  GranuleNoise source(1);
  RecordingNoise recording(source);
  context.elbo_noise = &recording;
  const auto result = evaluate(context, {"elbo"});
  const ByHand expected(recording.table()[0].second);
  expect_close(result.at("kl_nats").per_example, expected.monte_carlo_kl, 1e-11, 1e-12);
  EXPECT_EQ(result.at("kl_nats").note, "Monte Carlo from one sample for z: this KL has no closed form");
  EXPECT_EQ(result.at("elbo_nats").note, result.at("kl_nats").note);
  EXPECT_EQ(result.at("reconstruction_nats").note, "");
}

TEST(ElboMetric, GivesThreeMeasurementsWithStandardErrors) {
  const auto model = fakes::near_posterior();
  const auto context = context_of(*model, 100);
  const auto terms = bound_terms(context);
  const auto result = evaluate(context, {"elbo"});
  ASSERT_EQ(result.measurements.size(), 3U);
  EXPECT_EQ(result.measurements[0].key(), "elbo_nats");
  EXPECT_EQ(result.measurements[1].key(), "reconstruction_nats");
  EXPECT_EQ(result.measurements[2].key(), "kl_nats");
  EXPECT_EQ(result.measurements[0].error_key(), "elbo_standard_error_nats");
  EXPECT_EQ(result.measurements[0].note, "");
  for (const auto& measured : result.measurements) {
    const auto values = measured.per_example;
    EXPECT_NEAR(measured.value, values.sum().item<double>() / 100, 1e-12);
    const double variance = (values - values.mean()).square().sum().item<double>() / 99;
    EXPECT_NEAR(measured.standard_error.value(), std::sqrt(variance / 100), 1e-12);
  }
  EXPECT_NEAR(result.at("elbo_nats").value, -result.at("reconstruction_nats").value - result.at("kl_nats").value, 1e-12);
}

TEST(ElboMetric, DoesNotDependOnBatchSizeAndLimit) {
  const auto model = fakes::near_posterior();
  const auto expected = bound_terms(context_of(*model, 150, 150));
  for (const int64_t batch_size : {1, 7, 64, 100}) {
    expect_equal(bound_terms(context_of(*model, 150, batch_size)).elbo, expected.elbo);
  }
  expect_equal(bound_terms(context_of(*model, 150, 64, 70)).elbo, expected.elbo.narrow(0, 0, 70));
}

// E_q of log p(x, z) - log q(z | x) is log p(x) - KL(q || posterior): 0.5 (1 - ln 2) less at x = 0, q = N(0, 1).
TEST(ElboMetric, IsBelowTheEvidenceByTheKnownGap) {
  const auto model = fakes::prior_as_posterior();
  const auto context = EvaluationContext{
      .model = *model, .dataset = fakes::rows(torch::zeros({40000, 1}, at::kDouble)), .seed = 1, .batch_size = 10000};
  const auto [mean, error] = mean_and_error(bound_terms(context).elbo);
  EXPECT_NEAR(-0.5 * std::log(4 * M_PI) - mean, 0.5 * (1 - std::log(2)), 4 * error);
  EXPECT_LT(error, 0.005);
}

TEST(ElboMetric, RepeatsFromSavedNoise) {
  const auto path = std::filesystem::temp_directory_path() / "elbo_bound_noise.npz";
  const auto model = fakes::near_posterior();
  auto context = context_of(*model, 100);
  GranuleNoise source(1);
  RecordingNoise recording(source);
  context.elbo_noise = &recording;
  const auto expected = bound_terms(context);
  recording.write(path);
  ReplayNoise replay(ReplayNoise::read(path));
  context.elbo_noise = &replay;
  context.batch_size = 33;
  expect_equal(bound_terms(context).elbo, expected.elbo);
  std::filesystem::remove(path);
}

TEST(ElboMetric, AveragesOverMoreSamplesOnRequest) {
  const auto model = fakes::near_posterior();
  const auto batch = batch_of(2 * wavy({20, 1}));
  GranuleNoise noise(1);
  const auto many = bound_terms(*model, batch, 4000, noise);
  noise.place(0, 0);
  const auto latents = model->infer(batch, 4000, noise);
  expect_close(many.reconstruction, -log_likelihood(model->decode(latents, batch)).mean(0), 1e-12);
}

}  // namespace variational_bound_test
