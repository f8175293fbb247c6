#include "elbo/objectives/vqgan.h"

#include <gmock/gmock.h>
#include <torch/autograd.h>

#include "elbo/base/error.h"
#include "elbo/distributions/laplace_likelihood.h"
#include "elbo/models/vq_vae.h"
#include "elbo/nn/residual_conv.h"
#include "elbo/quantizers/ema.h"
#include "elbo/quantizers/vq.h"
#include "quantizers/quantizer_steps.h"

namespace elbo::vqgan_test {

constexpr int64_t kStart = 5, kB = 4;
constexpr double kN = 64, kTokensTimesSize = 16 * 3, kBeta = 0.25;
const DataSpec kUnitImage = {{"x", {.shape = {1, 8, 8}, .kind = ValueKind::unit}}};

VqganConfig small_critic(VqReduction reduction = VqReduction::sum) {
  return {.reduction = reduction, .critic = {.channels = 4, .layers = 1}, .critic_start = kStart};
}

/// Digits' size, 4 x 4 codes; the same weights each time.
struct Bench {
  explicit Bench(const VqganConfig& config = small_critic(), double codebook_weight = 1, bool ema = false) {
    VqVaeConfig chosen;
    const ResidualConvConfig network{.channels = {6}, .residual_blocks = 0};
    chosen.encoder.set("residual_conv", network);
    chosen.decoder.set("residual_conv", network);
    if (ema) {
      chosen.quantizer.set("ema", EmaConfig{.codes = 8, .code_size = 3});
    } else {
      chosen.quantizer.set("vq", VqConfig{.codes = 8,
                                          .code_size = 3,
                                          .commitment = scheduled_number(codebook_weight * kBeta),
                                          .codebook_weight = scheduled_number(codebook_weight)});
    }
    chosen.likelihood.set("laplace", LaplaceLikelihoodConfig{.scale = 0.5});
    model = std::make_shared<VqVae>(chosen, ModelContext{.spec = kUnitImage, .init = steps.init});
    objective = make_vqgan(config, *model, {.spec = kUnitImage, .seed = 3});
    for (auto& number : objective->scheduled()) number.refill({.step = 0, .steps_per_epoch = 1, .total_steps = 1});
  }
  LossTerms main(int64_t index) { return run(0, index); }
  LossTerms critic() { return run(1, kStart); }
  PatchCritic& critic_module() { return dynamic_cast<PatchCritic&>(*objective->children().front()); }
  LossTerms run(size_t phase, int64_t index) {
    auto step = steps.step();
    step.index = index;
    return objective->phases(*model).at(phase).losses(batch, step);
  }
  /// x and what its codes give, in [-1, 1].
  Tensor real() const { return 2 * batch.at("x") - 1; }
  Tensor fake() { return 2 * model->decode_codes(model->codes(batch)[0])->mean() - 1; }

  QuantizerSteps steps;
  Batch batch = {.fields = {{"x", {.value = wavy({kB, 1, 8, 8}, 0.4).abs().to(torch::kFloat)}}}, .index = torch::arange(kB)};
  std::shared_ptr<VqVae> model;
  std::shared_ptr<Objective> objective;
};

std::map<std::string, Tensor> by_name(const LossTerms& losses) {
  std::map<std::string, Tensor> named;
  for (const auto& term : losses.terms) named[term.name] = term.value;
  return named;
}

Tensor gradient(const Tensor& loss, const Tensor& of) {
  return torch::autograd::grad({loss}, {of}, {}, /*retain_graph=*/true).front();
}

TEST(AdaptiveWeight, IsTheRatioOfTheGradientsNorms) {
  const auto last = wavy({3, 2}).requires_grad_();
  const auto nll = (last * wavy({3, 2}, 0.7)).square().sum();
  const auto weight = torch::tensor(0.8, torch::kDouble);
  const auto lambda = adaptive_weight(nll, 3 * nll, last, weight);
  expect_close(lambda, 0.8 / 3, 1e-4);
  EXPECT_FALSE(lambda.requires_grad());
  const double norm = gradient(nll, last).norm().item<double>();
  expect_close(adaptive_weight(nll, 3 * nll, last, weight), 0.8 * norm / (3 * norm + 1e-4), 1e-9);
  expect_close(adaptive_weight(1e9 * nll, 1e-9 * nll, last, weight), 0.8e4, 1e-9);  // the clamp, before the weight
  const auto generator = 3 * nll;
  const torch::NoGradGuard no_grad;
  expect_equal(adaptive_weight(nll, generator, last, weight), torch::zeros({}, torch::kDouble));
}

TEST(HingeLoss, IsNothingBeyondTheMarginsAndOneWithoutAnOpinion) {
  const auto ones = torch::ones({2, 3, 3});
  expect_equal(hinge_loss(ones, -ones), torch::zeros({2}));
  expect_equal(hinge_loss(0 * ones, 0 * ones), torch::ones({2}));
  expect_equal(hinge_loss(3 * ones, -2 * ones), torch::zeros({2}));
  expect_equal(hinge_loss(-ones, 3 * ones), torch::full({2}, 3.0f));
}

TEST(Vqgan, IsTheQuantisedModelsLossUntilTheCriticStarts) {
  Bench bench;
  const auto before = bench.main(kStart - 1);
  const auto plain = make_vq_objective({}, *bench.model, {});
  auto step = bench.steps.step();
  const auto expected = plain->losses(bench.batch, step);
  expect_equal(before.loss, expected.loss);
  expect_equal(by_name(before).at("bound"), by_name(expected).at("bound"));
  expect_equal(by_name(before).at("adaptive_weight"), torch::zeros({}));
  before.loss.sum().backward();
  for (const auto& parameter : bench.objective->parameters()) EXPECT_FALSE(parameter.grad().defined());
  // Logs have the same columns before and after.
  const auto after = bench.main(kStart);
  ASSERT_EQ(after.terms.size(), before.terms.size());
  for (size_t i = 0; i < after.terms.size(); ++i) EXPECT_EQ(after.terms[i].name, before.terms[i].name);
}

TEST(Vqgan, PhasesHaveParametersOfTheirOwn) {
  Bench bench;
  const auto phases = bench.objective->phases(*bench.model);
  ASSERT_EQ(phases.size(), 2U);
  EXPECT_EQ(phases[0].name, "main");
  EXPECT_EQ(phases[0].from_step, 0);
  EXPECT_EQ(phases[1].name, "critic");
  EXPECT_EQ(phases[1].from_step, kStart);
  EXPECT_EQ(phases[0].parameters.size(), bench.model->parameters().size());
  EXPECT_EQ(phases[1].parameters.size(), bench.objective->parameters().size());
  bench.critic().loss.sum().backward();
  for (const auto& parameter : bench.model->parameters()) EXPECT_FALSE(parameter.grad().defined()) << "detached";
  for (const auto& item : bench.objective->named_parameters()) {
    if (item.key() == "critic.convs.2.bias") continue;  // within the margins real and fake pull it both ways
    EXPECT_GT(item.value().grad().abs().max().item<double>(), 0) << item.key();
  }
}

// The critic's pull at the last layer is its weight times the reconstruction's.
TEST(Vqgan, WeighsTheCriticByWhatAutogradGivesAtTheLastLayer) {
  Bench bench;
  const auto last = bench.model->named_parameters()["decoder.output.weight"];
  const auto without = bench.main(0).loss.mean();
  const auto with = bench.main(kStart);
  const auto terms = by_name(with);
  const auto g = -kN * bench.critic_module().forward(bench.fake()).mean();
  const double nll = gradient(without, last).norm().item<double>(), generator = gradient(g, last).norm().item<double>();
  EXPECT_GT(generator, 0.1);
  expect_close(terms.at("adaptive_weight"), 0.8 * nll / (generator + 1e-4), 1e-4);
  expect_close(with.loss.mean() - without, terms.at("adaptive_weight").item<double>() * g.item<double>(), 1e-3, 1e-5);
  const auto pull = gradient(with.loss.mean(), last) - gradient(without, last);
  EXPECT_NEAR(pull.norm().item<double>() / nll, 0.8, 1e-3);
  expect_close(kN * terms.at("generator").mean(), g, 1e-4);
}

// Fails where nll and generator are reduced differently, or only one of the quantiser's weights is converted.
TEST(Vqgan, APortsMeansAreTheSumsWithConvertedQuantiserWeights) {
  Bench port(small_critic(VqReduction::mean)), sums(small_critic(), kN / kTokensTimesSize);
  const auto a = port.main(kStart), b = sums.main(kStart);
  expect_close(by_name(a).at("adaptive_weight"), by_name(b).at("adaptive_weight"), 1e-2);  // the 1e-4 beside the norm weighs less
  a.loss.mean().backward();
  b.loss.mean().backward();
  const auto of_sums = sums.model->named_parameters();
  for (const auto& item : port.model->named_parameters()) {
    SCOPED_TRACE(item.key());
    EXPECT_GT(item.value().grad().abs().max().item<double>(), 0);
    expect_close(of_sums[item.key()].grad(), kN * item.value().grad(), 2e-2, 1e-2);
  }
}

TEST(Vqgan, TheCriticReadsWhatTheCodesGiveAndTeachesTheCodebookNothing) {
  Bench bench(small_critic(), 1, /*ema=*/true);
  const auto losses = bench.critic();
  auto& critic = bench.critic_module();
  const auto real = critic.forward(bench.real()), fake = critic.forward(bench.fake());
  expect_close(losses.loss, hinge_loss(real, fake), 1e-5);
  expect_close(by_name(losses).at("critic_real"), real.mean({1, 2}), 1e-5, 1e-6);
  expect_close(by_name(losses).at("critic_fake"), fake.mean({1, 2}), 1e-5, 1e-6);
  const auto before = bench.model->named_buffers()["quantizer.counts"].clone();
  bench.steps.after_step(*bench.model->quantizers()[0]);
  expect_equal(bench.model->named_buffers()["quantizer.counts"], before);
}

TEST(Vqgan, EvaluationHasNoPullAndChangesNothing) {
  Bench bench;
  bench.main(kStart);
  const torch::NoGradGuard no_grad;
  bench.model->eval();
  bench.objective->eval();
  auto step = bench.steps.step(false);
  const auto losses = bench.objective->losses(bench.batch, step), again = bench.objective->losses(bench.batch, step);
  expect_equal(losses.loss, again.loss);
  const auto terms = by_name(losses);
  expect_equal(terms.at("adaptive_weight"), torch::zeros({}));
  EXPECT_TRUE(terms.contains("critic_real") && terms.contains("critic_fake") && terms.contains("generator"));
  expect_close(terms.at("generator"), -terms.at("critic_fake"), 1e-6);
  const auto plain = make_vq_objective({}, *bench.model, {})->losses(bench.batch, step);
  expect_close(losses.loss, plain.loss, 1e-6);
  expect_equal(terms.at("bound"), by_name(plain).at("bound"));
  // By running statistics: an example alone has the scores that it has among others.
  Batch one{.fields = {{"x", {.value = bench.batch.at("x").narrow(0, 1, 1)}}}, .index = torch::zeros({1}, torch::kLong)};
  expect_close(by_name(bench.objective->losses(one, step)).at("critic_real"), terms.at("critic_real").narrow(0, 1, 1), 1e-4,
               1e-6);
}

TEST(Vqgan, TheDistanceOfFeaturesCountsInNatsOfEveryPixel) {
  auto config = small_critic();
  config.perceptual.weight = 2;
  Bench with(config), without;
  const auto losses = with.main(0);
  const auto distance = by_name(losses).at("perceptual");
  FeatureDistance expected(config.perceptual);
  expect_close(distance, expected(with.fake(), with.real()), 1e-4);
  expect_close(losses.loss, without.main(0).loss + kN * 2 * distance, 1e-5);
}

// A model that gives another field back than it reads is compared with that one.
TEST(Vqgan, JudgesByTheFieldThatIsGivenBack) {
  const DataSpec spec = {{"x", kUnitImage.at("x")}, {"target", kUnitImage.at("x")}};
  Bench reads_x;
  VqVaeConfig chosen{.target = "target"};
  const ResidualConvConfig network{.channels = {6}, .residual_blocks = 0};
  chosen.encoder.set("residual_conv", network);
  chosen.decoder.set("residual_conv", network);
  chosen.quantizer.set("vq", VqConfig{.codes = 8, .code_size = 3});
  chosen.likelihood.set("laplace", LaplaceLikelihoodConfig{.scale = 0.5});
  VqVae model(chosen, ModelContext{.spec = spec, .init = reads_x.steps.init});
  auto config = small_critic();
  config.perceptual.weight = 2;
  const auto objective = make_vqgan(config, model, {.spec = spec, .seed = 3});
  auto& critic = dynamic_cast<PatchCritic&>(*objective->children().front());
  critic.eval();
  auto batch = reads_x.batch;
  const auto target = 1 - batch.at("x");
  batch.fields["target"].value = target;
  auto step = reads_x.steps.step();
  step.index = kStart;
  const auto phases = objective->phases(model);
  const auto made = 2 * model.reconstruct(batch) - 1;
  expect_close(by_name(phases[1].losses(batch, step)).at("critic_real"), critic.forward(2 * target - 1).mean({1, 2}), 1e-5, 1e-6);
  expect_close(by_name(phases[0].losses(batch, step)).at("perceptual"), FeatureDistance({.weight = 1})(made, 2 * target - 1),
               1e-5);
}

TEST(Vqgan, SaysWhatItNeeds) {
  using ::testing::HasSubstr;
  Bench bench;
  const auto message = [&](const VqganConfig& config, const DataSpec& spec) -> std::string {
    try {
      make_vqgan(config, *bench.model, {.objective = "objective 'vqgan'", .spec = spec});
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(message(small_critic(), {{"x", {.shape = {5}}}}),
            "objective 'vqgan' has a critic of images [C, H, W]; the data set's field x is none");
  EXPECT_THAT(message({}, kUnitImage), HasSubstr("3 layers leave 1x8x8 images no patch"));
  auto three = small_critic();
  three.perceptual.shift = {0, 0, 0};
  EXPECT_THAT(message(three, {{"x", {.shape = {2, 8, 8}}}}), HasSubstr("got 3 numbers for shift or scale, the images have 2"));
}

}  // namespace elbo::vqgan_test
