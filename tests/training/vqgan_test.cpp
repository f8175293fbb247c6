#include "elbo/objectives/vqgan.h"

#include "elbo/distributions/laplace_likelihood.h"
#include "elbo/models/vq_vae.h"
#include "elbo/nn/residual_conv.h"
#include "elbo/quantizers/ema.h"
#include "elbo/training/check.h"
#include "training/digits_training.h"

using namespace elbo;

namespace vqgan_training_test {
using namespace elbo::fakes;
namespace {

constexpr int64_t kSteps = 6, kCriticStart = 3;

/// A VQGAN of the digits whose critic starts half-way.
struct Adversarial : DigitsTraining<VqVae> {
  explicit Adversarial(int64_t steps = kSteps) : DigitsTraining(steps, 128, 1e-3) {
    VqVaeConfig config;
    const ResidualConvConfig network{.channels = {8}, .residual_blocks = 0};
    config.encoder.set("residual_conv", network);
    config.decoder.set("residual_conv", network);
    config.quantizer.set("ema", EmaConfig{.codes = 16, .code_size = 4});
    config.likelihood.set("laplace", LaplaceLikelihoodConfig{.scale = 0.5});
    model = std::make_shared<VqVae>(config, context());
    objective = make_vqgan({.critic = {.channels = 4, .layers = 1}, .critic_start = kCriticStart}, *model,
                           {.spec = dataset->spec(), .seed = 3});
    auto of_critic = adam;
    of_critic.beta1 = 0.5;
    training.phases["critic"].optimizer.set("adam", of_critic);
  }
  Tensor critic_weight() const { return parameter_of_objective("critic.convs.0.weight"); }
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
  const auto log = expect_goes_on_to_the_bit([](int64_t steps) { return Adversarial(steps); }, kCriticStart + 1, kSteps);
  EXPECT_NE(log.find("critic/loss"), std::string::npos);
  EXPECT_NE(log.find("critic/learning_rate"), std::string::npos);
  EXPECT_NE(log.find("adaptive_weight"), std::string::npos);
}

}  // namespace
}  // namespace vqgan_training_test
