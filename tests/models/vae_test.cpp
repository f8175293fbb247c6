#include "elbo/models/vae.h"

#include "elbo/base/error.h"
#include "elbo/distributions/kl.h"
#include "elbo/nn/mlp.h"
#include "support/tensors.h"

namespace elbo::vae_test {

const DataSpec& images() {
  static const DataSpec spec = {{"x", {.shape = {1, 8, 8}, .kind = ValueKind::binary}}};
  return spec;
}

Batch batch_of(int64_t B) {
  Stream stream(5, "data", at::kCPU);
  return {.fields = {{"x", {.value = stream.uniform({B, 1, 8, 8}, {}).ge(0.5).to(torch::kFloat)}}}, .index = torch::arange(B)};
}

Vae small_vae(const VaeConfig& config = {.latent_size = 3}, const Tensor& training_mean = {}, uint64_t seed = 1) {
  Stream init(seed, "init", at::kCPU);
  return Vae(config, {.spec = images(), .init = init, .training_mean = training_mean});
}

TEST(Vae, ShapesFollowTheLetters) {
  auto vae = small_vae();
  Stream noise(2, "noise", at::kCPU);
  const auto batch = batch_of(4);
  const auto latents = vae.infer(batch, 5, noise);
  EXPECT_EQ(latents.layers.at(0).z.sizes(), at::IntArrayRef({5, 4, 3}));
  EXPECT_EQ(latents.layers.at(0).q->batch_shape(), Shape({4}));
  const auto observations = vae.decode(latents, batch);
  ASSERT_EQ(observations.size(), 1U);
  EXPECT_EQ(log_likelihood(observations).sizes(), at::IntArrayRef({5, 4}));
  EXPECT_EQ(vae.sample(rows_without_fields(7), 1, noise).sizes(), at::IntArrayRef({7, 1, 8, 8}));
  EXPECT_EQ(vae.reconstruct(batch).sizes(), at::IntArrayRef({4, 1, 8, 8}));
  EXPECT_EQ(vae.encode(batch).sizes(), at::IntArrayRef({4, 3}));
}

TEST(Vae, ParameterNamesAreThoseOfThePythonReaders) {
  auto vae = small_vae({.latent_size = 3});
  std::vector<std::string> names;
  for (const auto& entry : vae.named_parameters()) names.push_back(entry.key());
  for (const std::string name :
       {"encoder.layers.0.weight", "posterior.mean.weight", "posterior.log_var.bias", "decoder.output.weight"}) {
    EXPECT_NE(std::find(names.begin(), names.end(), name), names.end()) << name;
  }
}

TEST(Vae, SamplesOfOneExampleDependOnItAlone) {
  auto vae = small_vae();
  const torch::NoGradGuard no_grad;
  const auto batch = batch_of(4);
  const auto whole = vae.infer(batch.at("x"))->mean();
  const auto alone = vae.infer(batch.at("x").slice(0, 2, 3))->mean();
  expect_close(alone, whole.slice(0, 2, 3), 1e-5, 1e-6);
}

TEST(Vae, InferenceParametersAreEncoderAndPosterior) {
  auto vae = small_vae();
  size_t expected = 0;
  for (const auto& entry : vae.named_parameters()) {
    if (entry.key().starts_with("encoder.") || entry.key().starts_with("posterior.")) ++expected;
  }
  EXPECT_EQ(vae.inference_parameters().size(), expected);
  EXPECT_LT(expected, vae.parameters().size());
}

TEST(Vae, TemperatureZeroIsThePriorsMean) {
  auto vae = small_vae();
  const torch::NoGradGuard no_grad;
  Stream noise(2, "noise", at::kCPU);
  const auto still = vae.sample(rows_without_fields(3), 0, noise);
  expect_close(still[0], vae.decode(torch::zeros({3}))->mean(), 1e-5, 1e-6);
  expect_close(still[1], still[0], 1e-5, 1e-6);
  EXPECT_GT((vae.sample(rows_without_fields(3), 1, noise)[0] - still[0]).abs().max().item<double>(), 1e-3);
}

TEST(Vae, DataMeanBiasStartsTheOutputAtTheMean) {
  const auto mean = torch::linspace(0.1, 0.9, 64).view({1, 8, 8});
  auto vae = small_vae({.latent_size = 3, .output_bias = OutputBias::data_mean}, mean);
  const torch::NoGradGuard no_grad;
  for (auto& entry : vae.named_parameters()) {
    if (entry.key() == "decoder.output.weight") entry.value().zero_();
  }
  Stream noise(2, "noise", at::kCPU);
  expect_close(vae.sample(rows_without_fields(1), 1, noise)[0], mean, 1e-4, 1e-5);
}

TEST(Vae, SameSeedSameWeights) {
  auto a = small_vae({.latent_size = 3}, {}, 9);
  auto b = small_vae({.latent_size = 3}, {}, 9);
  auto c = small_vae({.latent_size = 3}, {}, 10);
  for (size_t i = 0; i < a.parameters().size(); ++i) expect_equal(a.parameters()[i], b.parameters()[i]);
  EXPECT_FALSE(a.parameters()[0].equal(c.parameters()[0]));
}

TEST(Vae, RefusesAModelTooLargeForTheMachine) {
  VaeConfig config{.latent_size = 1 << 20};
  config.encoder.set("mlp", MlpConfig{.hidden = {1 << 20, 1 << 20}});
  try {
    small_vae(config);
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find("mlp encoder: 1099581 million parameters take"), std::string::npos) << error.what();
  }
}

TEST(Vae, NeedsAFieldX) {
  const DataSpec spec = {{"y", {.shape = {3}}}};
  Stream init(1, "init", at::kCPU);
  EXPECT_THROW(Vae({}, {.spec = spec, .init = init}), ConfigError);
}

}  // namespace elbo::vae_test
