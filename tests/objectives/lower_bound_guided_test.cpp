#include "elbo/objectives/lower_bound_guided.h"

#include <torch/optim/adam.h>

#include <cmath>

#include "elbo/base/error.h"
#include "elbo/distributions/normal_likelihood.h"
#include "elbo/models/vae.h"
#include "elbo/nn/resnet.h"
#include "elbo/nn/shuffle.h"
#include "quantizers/quantizer_steps.h"

namespace elbo::lower_bound_guided_test {

constexpr int64_t kSmall = 8, kLarge = 16;

ResnetConfig network_of(Norm norm) {
  return {.channels = {8, 8}, .blocks = 1, .hidden = 24, .norm = norm, .norm_groups = 2, .activation = Activation::silu};
}

DataSpec pictures_spec() {
  return {{"x", {.shape = {1, kSmall, kSmall}, .kind = ValueKind::unit}},
          {"target", {.shape = {1, kLarge, kLarge}, .kind = ValueKind::unit}}};
}

LikelihoodChoice sigmoid_normal() {
  LikelihoodChoice choice{likelihoods, "normal"};
  choice.set("normal", NormalLikelihoodConfig{.scale = 0.1, .mean = MeanActivation::sigmoid});
  return choice;
}

std::shared_ptr<Vae> base_of(Norm norm, uint64_t seed = 1) {
  VaeConfig config{.latent_size = 6, .likelihood = sigmoid_normal()};
  config.encoder.set("resnet", network_of(norm));
  config.decoder.set("resnet", network_of(norm));
  const auto spec = pictures_spec();
  Stream init(seed, "init", at::kCPU);
  return std::make_shared<Vae>(config, ModelContext{.spec = spec, .init = init});
}

std::shared_ptr<AsymmetricVae> model_on(const std::shared_ptr<Model>& base, Norm norm,
                                        EnlargingHead head = EnlargingHead::dup_shuffle) {
  AsymmetricVaeConfig config{.likelihood = sigmoid_normal(), .head = head, .target = "target"};
  config.decoder.set("resnet", network_of(norm));
  const auto spec = pictures_spec();
  Stream init(9, "init", at::kCPU);
  return std::make_shared<AsymmetricVae>(config, ModelContext{.spec = spec, .init = init, .base = base});
}

/// Crossing waves with edges.
Batch crossing_waves(int64_t B, int64_t step = 0) {
  Stream stream(4, "waves", at::kCPU);
  stream.rekey(step);
  const auto place = torch::arange(kLarge) / static_cast<double>(kLarge);
  const auto u = stream.uniform({B}, {4, 1, 1});
  const auto across = (6 * u.select(1, 0) + 2) * place.view({1, 1, kLarge}) + 6 * u.select(1, 1);
  const auto down = (6 * u.select(1, 2) + 2) * place.view({1, kLarge, 1}) + 6 * u.select(1, 3);
  const auto pictures = (4 * across.sin() + 4 * down.sin()).sigmoid().unsqueeze(1).to(torch::kFloat);
  return {.fields = {{"x", {.value = torch::avg_pool2d(pictures, 2)}}, {"target", {.value = pictures}}},
          .index = torch::arange(B)};
}

std::vector<Tensor> state_of(torch::nn::Module& module) {
  std::vector<Tensor> all;
  for (const auto& parameter : module.parameters()) all.push_back(parameter.detach().clone());
  for (const auto& buffer : module.buffers()) all.push_back(buffer.clone());
  return all;
}

/// Steps of one phase; what is Stepped and in training mode moves, as in the trainer.
void train_phase(Model& model, Phase& phase, int64_t steps, double rate) {
  torch::optim::Adam adam(phase.parameters, torch::optim::AdamOptions(rate));
  QuantizerSteps kit;
  for (int64_t i = 0; i < steps; ++i) {
    auto step = kit.step();
    step.index = i;
    adam.zero_grad();
    phase.losses(crossing_waves(32, i), step).loss.mean().backward();
    adam.step();
    for (const auto& module : model.modules()) {
      if (auto* stepped = dynamic_cast<Stepped*>(module.get()); stepped && module->is_training()) stepped->after_step(step);
    }
  }
}

double mean_term(Objective& objective, const Batch& batch, const std::string& name) {
  QuantizerSteps kit;
  auto step = kit.step(false);
  const torch::NoGradGuard no_grad;
  for (const auto& term : objective.losses(batch, step).terms) {
    if (term.name == name) return term.value.mean().item<double>();
  }
  throw std::out_of_range(name);
}

std::string refusal(const std::function<void()>& act) {
  try {
    act();
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "accepted";
}

// The last layer of the base's decoder on its features, enlarged by repeating: nothing of the base is lost at the start.
TEST(AsymmetricVae, StartsAsTheNearestNeighboursEnlargementOfTheBasesFeatures) {
  const auto base = base_of(Norm::batch);
  base->eval();
  const auto model = model_on(base, Norm::batch);
  model->eval();
  const auto decoder = std::dynamic_pointer_cast<Decoder>(base->named_children()["decoder"]);
  const auto z = wavy({3, 6}).to(torch::kFloat);
  const auto features = torch::upsample_nearest2d(decoder->features(z), {kLarge, kLarge});
  expect_close(model->decode(z)->mean(), decoder->output(features).sigmoid(), 1e-5, 1e-6);
  expect_equal(decoder->output(decoder->features(z)), decoder->forward(z));
  const auto other = model_on(base, Norm::batch, EnlargingHead::shuffle_dup);
  other->eval();
  expect_close(other->decode(z)->mean(), decoder->output(shuffle_repeat(decoder->features(z))).sigmoid(), 1e-5, 1e-6);
}

TEST(AsymmetricVae, ReadsTheTargetsMeansOverSquares) {
  const auto base = base_of(Norm::group);
  const auto model = model_on(base, Norm::group);
  const auto batch = crossing_waves(4);
  expect_equal(model->encode(batch), base->encode(batch));
  expect_close(model->floor(model->encode(batch)),
               torch::upsample_bicubic2d(base->reconstruct(batch), {kLarge, kLarge}, /*align_corners=*/false), 1e-6);
  EXPECT_EQ(model->reconstruct(batch).sizes(), batch.at("target").sizes());
  EXPECT_EQ(model->reconstructed_field(), "target");
  QuantizerSteps kit;
  EXPECT_EQ(model->sample(rows_without_fields(5), 1, kit.noise).sizes(), (Shape{5, 1, kLarge, kLarge}));
  const auto still = model->sample(rows_without_fields(2), 0, kit.noise);
  expect_close(still[0], still[1]);
}

// Parameters and running statistics of the base stay to the bit, and no gradient is computed for them.
TEST(AsymmetricVae, TheBaseStaysAsItIs) {
  const auto base = base_of(Norm::batch);
  const auto before = state_of(*base);
  const auto model = model_on(base, Norm::batch);
  model->train();
  EXPECT_FALSE(base->is_training());
  EXPECT_TRUE(model->is_training());
  const auto objective = make_lower_bound_guided({}, *model, {});
  const auto own = state_of(*std::dynamic_pointer_cast<torch::nn::Module>(model->named_children()["decoder"]));
  for (auto& phase : objective->phases(*model)) train_phase(*model, phase, 3, 1e-2);
  const auto after = state_of(*base);
  for (size_t i = 0; i < before.size(); ++i) expect_equal(after[i], before[i]);
  for (const auto& parameter : base->parameters()) {
    EXPECT_FALSE(parameter.requires_grad());
    EXPECT_FALSE(parameter.grad().defined());
  }
  const auto moved = state_of(*std::dynamic_pointer_cast<torch::nn::Module>(model->named_children()["decoder"]));
  for (size_t i = 0; i < own.size(); ++i) EXPECT_FALSE(moved[i].equal(own[i])) << i;
}

TEST(AsymmetricVae, SaysWhichBaseItNeeds) {
  EXPECT_EQ(refusal([] { model_on(nullptr, Norm::batch); }),
            "model 'asymmetric_vae' enlarges what a finished VAE decodes: name its run (base: {run: PATH})");
  EXPECT_EQ(
      refusal([] {
        model_on(base_of(Norm::batch), Norm::none);
      }).find("model 'asymmetric_vae' starts from the base's decoder, which has no decoder.blocks.0.conv1.bias of this size ("),
      0u);
}

// Multiplications of the convolutions at an output of 2H x 2W, counted from their weights: the trunk works at half the size.
TEST(AsymmetricVae, DecodesForAThirdOfTheBasesCostAtTheSameSize) {
  Stream init(1, "init", at::kCPU);
  const auto decoder = make_resnet_decoder({.channels = {64, 128, 256}, .blocks = 2},
                                           {.latent_size = 8, .output_shape = {3, 64, 64}, .init = init});
  double trunk = 0, output = 0;  // of a 64 x 64 output; blocks.0 and 1 at 16 x 16, 2 and 3 at 32 x 32, 4 and 5 at 64 x 64
  for (const auto& item : decoder->named_parameters()) {
    if (item.value().dim() != 4) continue;
    const auto weights = static_cast<double>(item.value().numel());
    if (item.key().starts_with("output")) {
      output += weights * 64 * 64;
    } else {
      const auto side = 16 << ((item.key()[7] - '0') / 2);
      trunk += weights * side * side;
    }
  }
  EXPECT_GT(trunk, 10 * output);
  const double base_at_double_size = 4 * (trunk + output), enlarging = trunk + 4 * output;
  EXPECT_LT(enlarging, 0.35 * base_at_double_size);
}

TEST(LowerBoundGuided, PhasesGoFromTheFloorToTheTarget) {
  const auto model = model_on(base_of(Norm::group), Norm::group);
  const auto objective = make_lower_bound_guided({.guided_steps = 7, .hinge = 2}, *model, {});
  auto phases = objective->phases(*model);
  ASSERT_EQ(phases.size(), 2U);
  EXPECT_EQ(phases[0].name, "guided");
  EXPECT_EQ(phases[0].until_step, 7);
  EXPECT_EQ(phases[1].from_step, 7);
  for (const auto& phase : phases) {
    EXPECT_EQ(phase.parameters.size(), model->named_children()["decoder"]->parameters().size());
  }
  const auto batch = crossing_waves(3);
  const auto& x = batch.at("target");
  const auto z = model->code(x);
  const auto picture = model->decode(z)->mean().detach(), floor = model->floor(z);
  const auto sums = [](const Tensor& each) { return each.flatten(1).sum(1); };
  QuantizerSteps kit;
  auto step = kit.step();
  expect_close(phases[0].losses(batch, step).loss, sums((picture - floor).abs()), 1e-5);
  const auto beyond = torch::relu(sums((picture - x).square()) - sums((floor - x).square()));
  expect_close(phases[1].losses(batch, step).loss, sums((picture - x).abs()) + 2 * beyond, 1e-5);
  EXPECT_NEAR(mean_term(*objective, batch, "bound"),
              -(sums((picture - x).abs()) + kLarge * kLarge * std::log(2.0)).mean().item<double>(), 1e-3);
  EXPECT_EQ(make_lower_bound_guided({.guided_steps = 0}, *model, {})->phases(*model).size(), 1U);
}

// After the first phase the decoder is about as good as its floor, after the second better.
TEST(SlowLowerBoundGuided, ReachesTheFloorThenPassesIt) {
  const auto base = base_of(Norm::group);
  {
    QuantizerSteps kit;
    torch::optim::Adam adam(base->parameters(), torch::optim::AdamOptions(3e-3));
    for (int64_t i = 0; i < 1500; ++i) {
      adam.zero_grad();
      const auto batch = crossing_waves(32, i);
      (-base->decode(base->encode(batch))->log_prob(batch.at("x")).mean()).backward();
      adam.step();
    }
  }
  const auto model = model_on(base, Norm::group);
  const auto objective = make_lower_bound_guided({}, *model, {});
  auto phases = objective->phases(*model);
  const auto batch = crossing_waves(256, 1'000'000);
  train_phase(*model, phases[0], 600, 2e-3);
  const double floor = mean_term(*objective, batch, "floor_psnr_db");
  EXPECT_GE(mean_term(*objective, batch, "psnr_db"), floor - 0.5);
  train_phase(*model, phases[1], 600, 2e-3);
  EXPECT_GT(mean_term(*objective, batch, "psnr_db"), floor);
  const auto trained_on = crossing_waves(32, 0);
  EXPECT_GT(mean_term(*objective, trained_on, "psnr_db"), mean_term(*objective, trained_on, "floor_psnr_db"));
}

}  // namespace elbo::lower_bound_guided_test
