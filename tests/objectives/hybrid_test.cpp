#include "elbo/objectives/hybrid.h"

#include "elbo/distributions/normal_likelihood.h"
#include "elbo/models/conditional_vae.h"
#include "elbo/nn/mlp.h"
#include "support/linear_gaussian.h"

namespace elbo::hybrid_test {
namespace {

LossTerms losses_of(Variational& model, const HybridConfig& config, const Batch& batch, uint64_t seed = 1) {
  TestStep test(seed);
  auto step = test.step();
  return make_hybrid(config, model, {})->losses(batch, step);
}

LinearGaussian some_model() { return LinearGaussian(wavy({4, 2}, 1), wavy({4}, 2), 0.7); }

TEST(Hybrid, WithAlphaOneItIsTheElbo) {
  auto model = some_model();
  const auto batch = batch_of(wavy({5, 4}, 3));
  TestStep test(1);
  auto step = test.step();
  const auto elbo = make_elbo({.samples = 3}, model, {})->losses(batch, step);
  expect_close(losses_of(model, {.alpha = 1, .samples = 3}, batch).loss, elbo.loss, 1e-12);
  expect_close(term(losses_of(model, {.alpha = 0, .samples = 3}, batch), "bound"), term(elbo, "bound"), 1e-12);
}

/// E_{N(0, I)}[-log N(x; W z + b, s^2)] = X/2 log(2 pi s^2) + (|x - b|^2 + tr W W^T) / (2 s^2).
TEST(Hybrid, WithAlphaZeroItIsTheReconstructionOfPriorSamples) {
  const auto W = wavy({4, 2}, 1), b = wavy({4}, 2), x = wavy({5, 4}, 3);
  LinearGaussian model(W, b, 0.7);
  constexpr int64_t kMany = 100'000;
  const auto loss = losses_of(model, {.alpha = 0, .samples = kMany}, batch_of(x)).loss.detach();
  const auto expected = 2 * std::log(2 * M_PI * 0.49) + ((x - b).square().sum(1) + W.square().sum()) / (2 * 0.49);
  expect_close(loss, expected, 0.03);
}

TEST(Hybrid, MixesTheTwoInTheirWeights) {
  auto model = some_model();
  const auto batch = batch_of(wavy({5, 4}, 3));
  const auto at = [&](double alpha) { return losses_of(model, {.alpha = alpha}, batch).loss; };
  expect_close(at(0.25), 0.25 * at(1) + 0.75 * at(0), 1e-10);
}

TEST(Hybrid, AloneItTrainsThePriorAndLeavesTheEncoderBe) {
  Stream init(1, "init", at::kCPU);
  ConditionalVaeConfig config{.latent_size = 2};
  config.likelihood.set("normal", NormalLikelihoodConfig{.scale = 0.5});
  const DataSpec spec = {{"x", {.shape = {4}, .kind = ValueKind::real}},
                         {"label", {.shape = {}, .kind = ValueKind::category, .num_classes = 3}}};
  ConditionalVae model(config, {.spec = spec, .init = init});
  const Batch batch{
      .fields = {{"x", {.value = wavy({6, 4}, 1).to(torch::kFloat)}}, {"label", {.value = torch::arange(6).remainder(3)}}},
      .index = torch::arange(6)};
  Streams streams(1, at::kCPU);
  Collective alone;
  Step step{.noise = streams.noise, .streams = streams, .collective = alone};
  make_hybrid({.alpha = 0}, model, {})->losses(batch, step).loss.sum().backward();
  for (const auto& item : model.named_parameters()) {
    const auto& gradient = item.value().grad();
    const double size = gradient.defined() ? gradient.abs().max().item<double>() : 0;
    if (item.key().starts_with("encoder") || item.key().starts_with("posterior")) {
      EXPECT_EQ(size, 0) << item.key();
    }
    if (item.key().starts_with("prior")) {
      EXPECT_GT(size, 0) << item.key();
    }
  }
}

}  // namespace
}  // namespace elbo::hybrid_test
