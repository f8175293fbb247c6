#include "elbo/objectives/vqgan.h"

#include "elbo/data/digits.h"
#include "elbo/distributions/laplace_likelihood.h"
#include "elbo/models/vq_vae.h"
#include "elbo/nn/residual_conv.h"
#include "elbo/quantizers/ema.h"
#include "elbo/training/check.h"
#include "training/fakes.h"

using namespace elbo;

namespace vqgan_training_test {
using namespace elbo::fakes;
namespace {

constexpr int64_t kSteps = 6, kCriticStart = 3;

/// A VQGAN of the digits whose critic starts half-way.
struct Adversarial {
  explicit Adversarial(int64_t steps = kSteps) {
    dataset = datasets().make("digits", DataContext{.seed = 3});
    dataset->load(at::kCPU);
    VqVaeConfig config;
    const ResidualConvConfig network{.channels = {8}, .residual_blocks = 0};
    config.encoder.set("residual_conv", network);
    config.decoder.set("residual_conv", network);
    config.quantizer.set("ema", EmaConfig{.codes = 16, .code_size = 4});
    config.likelihood.set("laplace", LaplaceLikelihoodConfig{.scale = 0.5});
    Stream init(3, "init", at::kCPU);
    model = std::make_shared<VqVae>(config, ModelContext{.spec = dataset->spec(), .init = init});
    objective = make_vqgan({.critic = {.channels = 4, .layers = 1}, .critic_start = kCriticStart}, *model,
                           {.spec = dataset->spec(), .seed = 3});
    training.steps = steps;
    training.log_every_steps = 1;
    training.checkpoint = {.every_epochs = 1, .every_steps = 1, .keep = 100};
  }
  TrainingParts parts(RunFolder* run = nullptr) {
    AdamConfig adam;
    adam.learning_rate = scheduled_number(1e-3);
    optimizer.set("adam", adam);
    adam.beta1 = 0.5;
    training.phases["critic"].optimizer.set("adam", adam);
    TrainingParts all{.model = model,
                      .objective = objective,
                      .loader = std::make_shared<Loader>(dataset, 128, 3, ShortBatch::drop),
                      .optimizer = optimizer,
                      .config = training,
                      .seed = 3,
                      .run = run};
    if (run) all.hooks = {make_metrics_log(*run)};
    return all;
  }
  Tensor critic_weight() const { return objective->named_parameters()["critic.convs.0.weight"].detach().clone(); }

  std::shared_ptr<Dataset> dataset;
  std::shared_ptr<VqVae> model;
  std::shared_ptr<Objective> objective;
  OptimizerChoice optimizer{optimizers, "adam"};
  TrainingConfig training = {};
};

TEST(VqganTraining, TheCriticStartsAtItsStep) {
  Adversarial training;
  EXPECT_EQ(batch_coupling(*training.model, *training.objective), "the objective");  // its critic normalises over the batch
  const auto at_start = training.critic_weight();
  const auto statistics = [&] { return training.objective->named_buffers()["critic.norms.0.running_mean"].clone(); };
  Trainer trainer(training.parts());
  for (int64_t i = 0; i < kCriticStart; ++i) trainer.step();
  expect_equal(training.critic_weight(), at_start);
  expect_equal(statistics(), torch::zeros({8}));
  trainer.step();
  EXPECT_FALSE(training.critic_weight().equal(at_start));
  EXPECT_GT(statistics().abs().max().item<double>(), 0);
}

TEST(VqganTraining, GoesOnFromTheMiddleOfTheAdversarialPartToTheBit) {
  TemporaryFolder whole, cut;
  {
    RunFolder run(whole.path / "run", config_node(), RunStart::fresh);
    Trainer(Adversarial().parts(&run)).run();
  }
  {
    RunFolder run(cut.path / "run", config_node(), RunStart::fresh);
    Trainer(Adversarial(kCriticStart + 1).parts(&run)).run();
  }
  {
    RunFolder run(cut.path / "run", config_node(), RunStart::resume);
    Adversarial again;
    Trainer trainer(again.parts(&run));
    trainer.resume();
    trainer.run();
  }
  const auto last = fs::path("run") / "checkpoints" / ("step-" + std::to_string(kSteps));
  for (const char* file : {"model.safetensors", "training.safetensors"}) {
    EXPECT_FALSE(contents(whole.path / last / file).empty());
    EXPECT_TRUE(contents(whole.path / last / file) == contents(cut.path / last / file)) << file << " differs";
  }
  const auto log = contents(whole.path / "run" / "metrics.jsonl");
  EXPECT_TRUE(log == contents(cut.path / "run" / "metrics.jsonl"));
  EXPECT_NE(log.find("critic/loss"), std::string::npos);
  EXPECT_NE(log.find("critic/learning_rate"), std::string::npos);
  EXPECT_NE(log.find("adaptive_weight"), std::string::npos);
}

}  // namespace
}  // namespace vqgan_training_test
