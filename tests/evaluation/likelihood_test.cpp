#include "elbo/evaluation/likelihood.h"

#include <torch/types.h>
#include <torch/utils.h>

#include "elbo/math/numeric.h"
#include "fakes.h"

using namespace elbo;

namespace likelihood_test {

constexpr int64_t kUnlimited = int64_t{1} << 40;

LogLikelihood of_split(const std::shared_ptr<fakes::ScalarModel>& model, int64_t N, int64_t K, int64_t batch_size,
                       int64_t max_rows = kUnlimited, int64_t limit = 0) {
  return importance_log_likelihood({.model = *model,
                                    .dataset = fakes::wavy_rows(N),
                                    .limit = limit,
                                    .samples = K,
                                    .seed = 1,
                                    .batch_size = batch_size,
                                    .max_rows = max_rows});
}

TEST(LogLikelihood, IsTheEvidenceForEveryKWhenThePosteriorIsExact) {
  LinearGaussian model(values({1, 1, 1, -1, 1, 0}, {3, 2}), values({0.3, -0.2, 1}), 0.7);  // orthogonal columns
  model.make_posterior_exact();
  const auto x = 3 * wavy({20, 3});
  GranuleNoise noise(1);
  for (const int64_t K : {1, 7, 33}) {
    const auto result = importance_log_likelihood(model, batch_of(x), 0, K, 16 * 20, noise);
    EXPECT_EQ(result.per_example.scalar_type(), at::kDouble);
    expect_close(result.per_example, model.log_evidence(x), 1e-10);
    expect_close(result.effective_sample_size, static_cast<double>(K), 1e-9);
  }
}

// log p - L_K for x = 0, q = N(0, 1): Burda et al.'s bound has a known gap here, 0.5 (1 - ln 2) at K = 1 and chi^2 / (2K) beyond.
TEST(LogLikelihood, HasTheKnownGapWhenThePosteriorIsThePrior) {
  const auto model = fakes::prior_as_posterior();
  const auto batch = constant_batch(50000, 0);
  const double evidence = -0.5 * std::log(4 * M_PI);
  GranuleNoise noise(1);
  for (const auto& [K, gap] : std::vector<std::pair<int64_t, double>>{{1, 0.15343}, {2, 0.0513}, {5, 0.0170}, {10, 0.0079}}) {
    const auto result = importance_log_likelihood(*model, batch, 0, K, kUnlimited, noise);
    const auto [mean, error] = mean_and_error(result.per_example);
    EXPECT_NEAR(evidence - mean, gap, 4 * error + 5e-5) << "K = " << K;
    EXPECT_LT(error, 0.004);
  }
  const auto result = importance_log_likelihood(*model, batch, 0, 40, kUnlimited, noise);
  const auto [mean, error] = mean_and_error(result.per_example);
  EXPECT_NEAR(40 * (evidence - mean), 0.07735, 40 * 4 * error);
}

TEST(LogLikelihood, IsTheLogMeanOfTheWeightsOfTheFirstSamples) {
  const auto model = fakes::near_posterior();
  const auto batch = batch_of(2 * wavy({70, 1}));
  GranuleNoise noise(1);
  noise.place(5, 0);
  const torch::NoGradGuard no_grad;
  const auto latents = model->infer(batch, 50, noise);
  const auto log_w = log_weights(latents, log_likelihood(model->decode(latents, batch)));
  for (const int64_t K : {1, 3, 16, 17, 50}) {
    const auto result = importance_log_likelihood(*model, batch, 5, K, kUnlimited, noise);
    const auto first = log_w.narrow(0, 0, K);
    expect_close(result.per_example, torch::logsumexp(first, 0) - std::log(static_cast<double>(K)), 1e-13, 1e-13);
    expect_close(result.effective_sample_size, effective_sample_size(first, 0), 1e-11);
  }
}

TEST(LogLikelihood, InChunksIsTheSameBitForBit) {
  const auto expected = of_split(fakes::near_posterior(), 100, 50, 100);
  for (const int64_t max_rows : {1600, 1700, 3300, 4799, 4800}) {
    const auto model = fakes::near_posterior();
    const auto chunked = of_split(model, 100, 50, 100, max_rows);
    expect_equal(chunked.per_example, expected.per_example);
    expect_equal(chunked.effective_sample_size, expected.effective_sample_size);
    EXPECT_LE(model->largest_rows, max_rows);
  }
}

TEST(LogLikelihood, DoesNotDependOnBatchSizeAndLimit) {
  const auto expected = of_split(fakes::near_posterior(), 150, 33, 150);
  for (const int64_t batch_size : {1, 7, 64, 100}) {
    SCOPED_TRACE(batch_size);
    const auto result = of_split(fakes::near_posterior(), 150, 33, batch_size);
    expect_equal(result.per_example, expected.per_example);
    expect_equal(result.effective_sample_size, expected.effective_sample_size);
  }
  expect_equal(of_split(fakes::near_posterior(), 150, 33, 64, kUnlimited, 70).per_example, expected.per_example.narrow(0, 0, 70));
  expect_equal(of_split(fakes::near_posterior(), 150, 33, 64, kUnlimited, 1000).per_example, expected.per_example);
}

TEST(LogLikelihood, KeepsToTheBudgetOfRows) {
  const auto model = fakes::near_posterior();
  of_split(model, 300, 100, 128, 512);  // batches of 32, chunks of 16
  EXPECT_EQ(model->largest_rows, 512);
}

TEST(LogLikelihood, DoublingTheSamplesNeverLowersTheMeanBeyondNoise) {
  auto before = of_split(fakes::prior_as_posterior(), 2000, 1, 500).per_example;
  for (int64_t K = 2; K <= 128; K *= 2) {
    const auto now = of_split(fakes::prior_as_posterior(), 2000, K, 500).per_example;
    const auto [gain, error] = mean_and_error(now - before);
    EXPECT_GT(gain, -3 * error) << "K = " << K;
    before = now;
  }
}

TEST(LogLikelihood, StaysFiniteFarFromThePosterior) {
  const auto model = fakes::prior_as_posterior();
  GranuleNoise noise(1);
  const auto result = importance_log_likelihood(*model, constant_batch(3, 100), 0, 50, kUnlimited, noise);
  expect_finite(result.per_example);
  EXPECT_LT(result.per_example.max().item<double>(), -2500 + 100 * 5);
  EXPECT_GE(result.effective_sample_size.min().item<double>(), 1 - 1e-9);
}

/// Two strata of q: the same N(0, 1) twice, or one of them unavailable and full of NaN.
class Stratified final : public Model, public Variational {
 public:
  explicit Stratified(bool second_available_) : second_available(second_available_) {}
  std::string_view family() const override { return "variational"; }
  std::string summary() const override { return "stratified"; }
  Latents infer(const Batch& batch, int64_t K, Noise& noise) override {
    const auto B = batch.size();
    const auto zero = torch::zeros({B, 1}, torch::kDouble);
    const auto q = std::make_shared<Normal>(zero, zero);
    auto z = noise.normal({2, K, B}, {1}).to(at::kDouble);
    Latents latents{.layers = {{.q = q, .p = q, .z = z}}};
    if (!second_available) {
      z[1].fill_(NAN);
      latents.log_weight = values({0, -INFINITY}).view({2, 1, 1}).expand({2, 1, B});
    }
    return latents;
  }
  Latents prior(const Batch&, int64_t, Noise&) override { return {}; }
  std::vector<Observation> decode(const Latents& latents, const Batch& batch) override {
    return {{.likelihood = Normal::with_scale(latents.layers[0].z, 1, 1), .target = batch.at("x")}};
  }
  std::vector<Tensor> inference_parameters() override { return {}; }
  bool second_available;
};

TEST(LogLikelihood, SkipsUnavailableStrata) {
  Stratified one_missing(false);
  const auto batch = batch_of(wavy({10, 1}));
  GranuleNoise noise(1);
  const auto expected = importance_log_likelihood(*fakes::prior_as_posterior(), batch, 0, 20, kUnlimited, noise);
  const auto result = importance_log_likelihood(one_missing, batch, 0, 20, kUnlimited, noise);
  expect_close(result.per_example, expected.per_example, 1e-12);
  expect_close(result.effective_sample_size, expected.effective_sample_size, 1e-10);
}

TEST(LogLikelihood, AveragesAvailableStrata) {
  Stratified both(true);
  const auto batch = batch_of(wavy({10, 1}));
  GranuleNoise noise(1);
  const auto z = noise.normal({2, 20, 10}, {1}).to(at::kDouble).squeeze(-1);
  const auto log_w = -0.5 * (batch.at("x").squeeze(1) - z).square() - 0.5 * std::log(2 * M_PI);
  const auto result = importance_log_likelihood(both, batch, 0, 20, 16 * 10, noise);
  expect_close(result.per_example, torch::logsumexp(log_w.flatten(0, 1), 0) - std::log(40.0), 1e-12);
}

TEST(LogLikelihood, NamesWhatTheModelLacks) {
  fakes::Inert inert;
  EXPECT_EQ(fakes::message_of([&] { importance_log_likelihood({.model = inert, .dataset = fakes::wavy_rows(3)}); }),
            "metric 'log_likelihood' needs a variational model; this model is quantized and can do nothing beyond that");
  const auto model = fakes::near_posterior();
  EXPECT_EQ(fakes::message_of([&] { of_split(model, 3, 0, 3); }), "log_likelihood needs at least one importance sample, got 0");
}

TEST(LogLikelihood, ReportsProgressInSamples) {
  const auto model = fakes::near_posterior();
  std::vector<int64_t> done;
  importance_log_likelihood({.model = *model,
                             .dataset = fakes::wavy_rows(100),
                             .samples = 40,
                             .batch_size = 50,
                             .max_rows = 16 * 50,
                             .progress = [&](const EvaluationProgress& progress) {
                               EXPECT_EQ(progress.total, 4000);
                               EXPECT_EQ(progress.unit, "samples");
                               done.push_back(progress.done);
                             }});
  EXPECT_EQ(done, (std::vector<int64_t>{800, 1600, 2000, 2800, 3600, 4000}));
}

}  // namespace likelihood_test
