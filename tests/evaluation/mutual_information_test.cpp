#include "elbo/evaluation/mutual_information.h"

#include "elbo/distributions/normal.h"
#include "elbo/evaluation/variational_bound.h"
#include "fakes.h"
#include "support/tensors.h"

using namespace elbo;

namespace mutual_information_test {

/// q(z | x) = N(gain x, variance) in each of D dimensions, p = N(0, 1).
class Encoder final : public Model, public Variational {
 public:
  Encoder(int64_t dims, double gain, double variance) : D(dims), gain_(gain), log_var_(std::log(variance)) {}
  std::string_view family() const override { return "variational"; }
  std::string summary() const override { return "encoder"; }
  Latents infer(const Batch& batch, int64_t K, Noise& noise) override {
    const auto mean = (gain_ * batch.at("x")).expand({batch.size(), D});
    auto normal = std::make_shared<Normal>(mean, torch::full_like(mean, log_var_));
    DistributionPtr q = normal;
    if (opaque) q = std::make_shared<fakes::Opaque>(normal);
    Latent layer{.q = q,
                 .p = std::make_shared<Normal>(torch::zeros_like(mean), torch::zeros_like(mean)),
                 .z = q->rsample({K, batch.size()}, noise)};
    return {.layers = std::vector<Latent>(static_cast<size_t>(num_layers), layer)};
  }
  Latents prior(const Batch&, int64_t, Noise&) override { return {}; }
  std::vector<Observation> decode(const Latents& latents, const Batch& batch) override {
    return {{.likelihood = Normal::with_scale(latents.layers[0].z.narrow(-1, 0, 1), 1, 1), .target = batch.at("x")}};
  }
  std::vector<Tensor> inference_parameters() override { return {}; }

  int64_t D;
  int num_layers = 1;
  bool opaque = false;

 private:
  double gain_, log_var_;
};

/// x ~ N(0, 1) by its quantiles: [N, 1].
std::shared_ptr<Dataset> normal_rows(int64_t N) {
  const auto p = (torch::arange(N, torch::kDouble) + 0.5) / N;
  return fakes::rows((std::sqrt(2.0) * torch::erfinv(2 * p - 1)).unsqueeze(1));
}

AggregatePosterior measured(Encoder& model, int64_t N, uint64_t seed = 0, int64_t batch_size = 128) {
  return aggregate_posterior({.model = model, .dataset = normal_rows(N), .seed = seed, .batch_size = batch_size});
}
double mean_of(const Tensor& t) { return t.mean().item<double>(); }

// q = N((x, x), I), x ~ N(0, 1): the aggregate is N(0, [[2, 1], [1, 2]]), I = 0.5 ln 3, and KL(q(z) || p) = 1 - 0.5 ln 3.
TEST(MutualInformation, IsTheClosedFormOfACorrelatedEncoder) {
  constexpr int64_t kRows = 1000;
  constexpr uint64_t kSeeds = 20;
  Encoder model(2, 1, 1);
  double information = 0, marginal = 0;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    const auto result = measured(model, kRows, seed);
    information += mean_of(result.mutual_information) / kSeeds;
    marginal += mean_of(result.marginal_kl) / kSeeds;
  }
  // The own component among N makes it fall short by about 0.012 at 1000 rows; 20 seeds have a standard deviation of 0.0045.
  EXPECT_NEAR(information, 0.5 * std::log(3.0) - 0.012, 0.015);
  EXPECT_NEAR(marginal, 1 - 0.5 * std::log(3.0), 0.03);
}

TEST(MutualInformation, OfACollapsedEncoderIsZero) {
  Encoder model(3, 0, 0.7);
  const auto result = measured(model, 200);
  expect_close(result.mutual_information, 0, 0, 1e-6);
}

TEST(MutualInformation, OfDisjointPosteriorsIsLogN) {
  Encoder model(1, 1e4, 1e-6);
  const auto result = measured(model, 50, 0, 16);
  expect_close(result.mutual_information, std::log(50.0), 0, 1e-4);
}

TEST(MutualInformation, AndTheMarginalAddUpToTheKl) {
  Encoder model(2, 0.8, 0.5);
  model.opaque = true;  // its KL is then Monte Carlo, from the same draws
  const EvaluationContext context{.model = model, .dataset = normal_rows(70), .seed = 3, .batch_size = 32};
  const auto parts = aggregate_posterior(context);
  expect_close(parts.mutual_information + parts.marginal_kl, bound_terms(context).kl, 1e-5, 1e-5);
}

TEST(MutualInformation, DependsOnNeitherBatchesNorTheWayPairsAreComputed) {
  Encoder model(2, 0.8, 0.5);
  const auto whole = measured(model, 150, 1, 150);
  const auto pieces = measured(model, 150, 1, 7);
  expect_close(pieces.mutual_information, whole.mutual_information, 1e-6, 1e-6);
  model.opaque = true;
  expect_close(measured(model, 150, 1).mutual_information, whole.mutual_information, 1e-5, 1e-5);
}

TEST(MutualInformation, PairsOfNormalsSurviveFarAndNarrowPosteriors) {
  const auto mean = 1000 + wavy({6, 3}), log_var = torch::full({6, 3}, std::log(1e-4), torch::kDouble);
  const Normal q(mean, log_var);
  const auto z = 1000 + wavy({4, 3}, 0.5);
  expect_close(pairwise_log_prob(q, z), q.log_prob(z.unsqueeze(1)), 1e-9, 1e-6);
}

TEST(MutualInformation, StatesItsCap) {
  Encoder model(2, 1, 1);
  const EvaluationContext context{.model = model, .dataset = normal_rows(1000)};
  const auto result = metrics().make("mutual_information")->evaluate(context);
  ASSERT_EQ(result.size(), 2u);
  EXPECT_EQ(result[0].key(), "mutual_information_nats");
  EXPECT_EQ(result[0].note, "between a code and which of 1,000 rows it came from; at most log 1,000 = 6.9078");
  EXPECT_EQ(result[1].key(), "marginal_kl_nats");
}

TEST(MutualInformation, NeedsOneLatentLayer) {
  Encoder model(2, 1, 1);
  model.num_layers = 2;
  EXPECT_EQ(fakes::message_of([&] { measured(model, 10); }),
            "metric 'mutual_information' needs one latent layer with one posterior a row; this model has 2 latent layers");
}

}  // namespace mutual_information_test
