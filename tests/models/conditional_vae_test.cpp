#include "elbo/models/conditional_vae.h"

#include <gmock/gmock.h>

#include "elbo/base/error.h"
#include "elbo/distributions/kl.h"
#include "elbo/distributions/normal.h"
#include "elbo/distributions/normal_likelihood.h"
#include "elbo/distributions/normal_posterior.h"
#include "elbo/models/conditions.h"
#include "elbo/nn/mlp.h"
#include "support/gradients.h"

namespace elbo::conditional_vae_test {
namespace {

using testing::HasSubstr;

const FieldSpec kLabel = {.shape = {}, .kind = ValueKind::category, .num_classes = 3};
const DataSpec kImages = {{"x", {.shape = {1, 8, 8}, .kind = ValueKind::binary}}, {"label", kLabel}};
const DataSpec kVectors = {{"x", {.shape = {4}, .kind = ValueKind::real}}, {"label", kLabel}};

Batch batch_of(const DataSpec& spec, int64_t B) {
  const auto x = wavy(joined({B}, spec.at("x").shape)).to(torch::kFloat);
  return {.fields = {{"x", {.value = spec.at("x").kind == ValueKind::binary ? x.gt(0).to(torch::kFloat) : x}},
                     {"label", {.value = torch::arange(B).remainder(3)}}},
          .index = torch::arange(B)};
}

ConditionalVae make(const ConditionalVaeConfig& config, const DataSpec& spec) {
  Stream init(1, "init", at::kCPU);
  return ConditionalVae(config, {.spec = spec, .init = init});
}

ConditionalVaeConfig linear() {
  ConditionalVaeConfig config{.latent_size = 2};
  config.encoder.set("mlp", MlpConfig{.hidden = {}});
  config.decoder.set("mlp", MlpConfig{.hidden = {}});
  config.posterior.set("normal", NormalPosteriorConfig{.log_var_clamp = Clamp::none});
  config.likelihood.set("normal", NormalLikelihoodConfig{.scale = 0.5});
  return config;
}

/// All weights of the linear model, so that every density is known; the posterior is exact.
struct Known {
  Tensor W = values({1, 0.5, -1, 0.5, 0.5, 1, 0.5, -1}, {4, 2});  // orthogonal columns
  Tensor U = wavy({4, 3}, 1), b = wavy({4}, 2), prior_mean = wavy({3, 2}, 3), prior_log_var = 0.5 * wavy({3, 2}, 4);
  double sigma = 0.5;
};

ConditionalVae exact_model(const Known& known, ConditionalPrior prior) {
  auto config = linear();
  config.prior = prior;
  auto model = make(config, kVectors);
  model.to(torch::kDouble);
  auto named = model.named_parameters();
  const torch::NoGradGuard no_grad;
  const bool learned = prior == ConditionalPrior::learned;
  const auto mean = learned ? known.prior_mean : torch::zeros({3, 2}, torch::kDouble);
  const auto log_var = learned ? known.prior_log_var : torch::zeros({3, 2}, torch::kDouble);
  if (learned) {
    named["prior.mean.weight"].copy_(mean.t());
    named["prior.log_var.weight"].copy_(log_var.t());
    named["prior.mean.bias"].zero_();
    named["prior.log_var.bias"].zero_();
  }
  named["decoder.output.weight"].copy_(torch::cat({known.W, known.U}, 1));
  named["decoder.output.bias"].copy_(known.b);
  // Posterior given y: precision of each dimension w'w / s^2 + 1 / S(y); the mean must be linear in x and y, so S is one for all
  // y in the directions of x.
  const auto precision = known.W.square().sum(0) / (known.sigma * known.sigma) + (-log_var).exp();  // [3, 2]
  const auto gain = known.W.t() / (known.sigma * known.sigma);                                      // [2, 4]
  named["posterior.log_var.weight"].zero_();
  named["posterior.log_var.weight"].slice(1, 4).copy_(-precision.log().t());
  named["posterior.log_var.bias"].zero_();
  const auto variance = 1 / precision[0];
  named["posterior.mean.weight"].slice(1, 0, 4).copy_(gain * variance.unsqueeze(1));
  const auto of_class = (mean * (-log_var).exp() - gain.matmul(known.U + known.b.unsqueeze(1)).t()) / precision;  // [3, 2]
  named["posterior.mean.weight"].slice(1, 4).copy_(of_class.t());
  named["posterior.mean.bias"].zero_();
  return model;
}

/// log N(x; U_y + b + W m(y), W S(y) W' + s^2 I).
Tensor log_marginal(const Known& known, const Tensor& x, const Tensor& y, ConditionalPrior prior) {
  const bool learned = prior == ConditionalPrior::learned;
  std::vector<Tensor> rows;
  for (int64_t i = 0; i < x.size(0); ++i) {
    const auto v = y[i].item<int64_t>();
    const auto m = learned ? known.prior_mean[v] : torch::zeros({2}, torch::kDouble);
    const auto S = learned ? known.prior_log_var[v].exp() : torch::ones({2}, torch::kDouble);
    const auto covariance = (known.W * S).matmul(known.W.t()) + known.sigma * known.sigma * torch::eye(4, torch::kDouble);
    const auto centred = x[i] - known.U.select(1, v) - known.b - known.W.matmul(m);
    const auto distance = centred.dot(torch::linalg_solve(covariance, centred.unsqueeze(1)).squeeze(1));
    rows.push_back(-0.5 * (distance + torch::logdet(covariance) + 4 * std::log(2 * M_PI)));
  }
  return torch::stack(rows);
}

TEST(ConditionalVae, OfALinearGaussianHasTheExactEvidenceOfEachClass) {
  Known known;
  known.prior_log_var = known.prior_log_var[0].expand({3, 2}).clone();  // one S(y), so that the exact posterior is linear
  auto batch = batch_of(kVectors, 6);
  batch.fields["x"].value = batch.at("x").to(torch::kDouble);
  for (const auto prior : {ConditionalPrior::standard_normal, ConditionalPrior::learned}) {
    auto model = exact_model(known, prior);
    const torch::NoGradGuard no_grad;
    Stream noise(2, "noise", at::kCPU, 0, at::kDouble);
    const auto latents = model.infer(batch, 7, noise);
    const auto log_w = log_weights(latents, log_likelihood(model.decode(latents, batch)));
    // Constant over samples: q is exact (the learned prior's soft clamp moves its variance by 5e-5).
    const auto expected = log_marginal(known, batch.at("x"), batch.at("label"), prior);
    expect_close(log_w, expected.expand({7, 6}), 0, prior == ConditionalPrior::learned ? 2e-3 : 1e-9);
  }
}

TEST(ConditionalVae, KlVanishesWherePosteriorIsPrior) {
  auto model = make({.latent_size = 5}, kImages);
  Stream noise(2, "noise", at::kCPU);
  const auto p = model.prior(batch_of(kImages, 6), 1, noise).layers[0].p;
  expect_close(kl(*p, *p), 0.0, 0, 1e-6);
}

TEST(ConditionalVae, GradientOfTheKlWithADetachedPosteriorReachesThePriorOnly) {
  auto model = make({.latent_size = 5}, kImages);
  Stream noise(2, "noise", at::kCPU);
  const auto layer = model.infer(batch_of(kImages, 6), 1, noise).layers[0];
  kl(*layer.q->detached(), *layer.p).sum().backward();
  int reached = 0;
  for (const auto& item : model.named_parameters()) {
    const auto& gradient = item.value().grad();
    const bool has = gradient.defined() && gradient.ne(0).any().item<bool>();
    EXPECT_EQ(has, item.key().starts_with("prior.")) << item.key();
    reached += has;
  }
  EXPECT_EQ(reached, 4);
}

TEST(ConditionalVae, EncoderAndDecoderSeeTheClass) {
  for (const auto* spec : {&kImages, &kVectors}) {
    ConditionalVaeConfig config{.latent_size = 5};
    if (spec == &kVectors) config.likelihood.set("normal");
    auto model = make(config, *spec);
    const torch::NoGradGuard no_grad;
    const auto batch = batch_of(*spec, 6);
    auto other = batch;
    other.fields["label"].value = (batch.at("label") + 1).remainder(3);
    EXPECT_GT((model.encode(batch) - model.encode(other)).abs().amax(1).min().item<double>(), 1e-4);
    const auto z = wavy({6, 5}).to(torch::kFloat);
    EXPECT_GT((model.decode_code(z, batch) - model.decode_code(z, other)).abs().amax(-1).min().item<double>(), 1e-4);
  }
}

TEST(ConditionalVae, ShapesAndNames) {
  auto model = make({.latent_size = 5}, kImages);
  const torch::NoGradGuard no_grad;
  Stream noise(2, "noise", at::kCPU);
  const auto batch = batch_of(kImages, 6);
  const auto latents = model.infer(batch, 3, noise);
  EXPECT_EQ(latents.layers[0].z.sizes(), (Shape{3, 6, 5}));
  EXPECT_EQ(log_likelihood(model.decode(latents, batch)).sizes(), (Shape{3, 6}));
  EXPECT_EQ(model.reconstruct(batch).sizes(), (Shape{6, 1, 8, 8}));
  EXPECT_EQ(model.conditions(), std::vector<std::string>{"label"});
  const auto named = model.named_parameters();
  for (const char* name : {"condition.weight", "prior.mean.weight", "posterior.mean.weight", "decoder.output.weight"}) {
    EXPECT_TRUE(named.contains(name)) << name;
  }
  EXPECT_EQ(named["condition.weight"].sizes(), (Shape{64, 3}));
  EXPECT_EQ(named["encoder.layers.0.weight"].size(1), 2 * 64);
  size_t inference = 0;
  for (const auto& item : named) {
    const auto& key = item.key();
    inference += key.starts_with("encoder.") || key.starts_with("posterior.") || key.starts_with("condition.");
  }
  EXPECT_EQ(model.inference_parameters().size(), inference);
}

TEST(ConditionalVae, NeedsALabelWithClasses) {
  const auto message = [](const DataSpec& spec) -> std::string {
    try {
      make({}, spec);
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_EQ(message({{"x", kImages.at("x")}}),
            "model 'conditional_vae' reads the field label, which this data set does not have");
  EXPECT_THAT(message({{"x", kImages.at("x")}, {"label", {.shape = {}}}}), HasSubstr("must be one class an example"));
  EXPECT_THAT(message({{"x", {.shape = {3, 2}}}, {"label", kLabel}}), HasSubstr("x of shape [3, 2]"));
}

TEST(Conditions, CycleThroughTheClassesUnlessGiven) {
  auto model = make({}, kImages);
  expect_equal(conditions_for(model, kImages, 5).at("label"), torch::tensor({0, 1, 2, 0, 1}));
  EXPECT_EQ(condition_columns(model, kImages), 3);
  expect_equal(conditions_for(model, kImages, 3, {{"label", {2, 0}}}).at("label"), torch::tensor({2, 0, 2}));
  EXPECT_EQ(condition_columns(model, kImages, {{"label", {2, 0}}}), 2);
  EXPECT_EQ(condition_columns(model, kImages, {{"label", {2}}}), 0) << "a strip of one column is no picture";
  const auto message = [&](const GivenClasses& given) -> std::string {
    try {
      conditions_for(model, kImages, 3, given);
    } catch (const UsageError& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_EQ(message({{"label", {3}}}), "--given label=3: expected a class from 0 to 2");
  EXPECT_EQ(message({{"colour", {1}}}), "--given colour: this model's samples have the conditions label");
}

}  // namespace
}  // namespace elbo::conditional_vae_test
