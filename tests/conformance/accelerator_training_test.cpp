#include <ATen/Context.h>
#include <gtest/gtest.h>

#include "conformance/accelerator.h"
#include "conformance/components.h"
#include "data/files.h"
#include "elbo/config/override.h"
#include "elbo/evaluation/evaluator.h"
#include "elbo/training/trainer.h"
#include "support/tensors.h"

namespace elbo::conformance {
namespace {

/// Deterministic algorithms are a setting of the process.
struct RepeatableAgain {
  ~RepeatableAgain() {
    at::globalContext().setDeterministicAlgorithms(false, false);
    at::globalContext().setDeterministicCuDNN(false);
  }
};

/// A small experiment on the built-in digits; later lines win over earlier ones.
ExperimentConfig small_experiment(const std::vector<std::string>& overrides) {
  const auto yaml =
      "name: small\nseed: 3\ndata: {type: digits, binarize: dynamic, batch_size: 64}\n"
      "model: {type: vae, latent_size: 4, encoder: {type: mlp, hidden: [16]}, decoder: {type: mlp, hidden: [16]}}\n"
      "objective: {type: elbo}\noptimizer: {type: adam}\n"
      "training: {steps: 6, deterministic: true, log_every_steps: 3, clip_norm: 5, weight_average: 0.9}\n"
      "evaluation: {metrics: [elbo], samples: 4, limit: 200}\n";
  auto root = parse_yaml(yaml, "small");
  apply_overrides(root, overrides);
  return read_config<ExperimentConfig>(root);
}

struct Training {
  Training(const ExperimentConfig& config, at::Device device)
      : experiment(build_experiment(config, {.device = device}, DataUse::load)),
        trainer({.model = experiment.model,
                 .objective = experiment.objective,
                 .loader = std::make_shared<Loader>(experiment.dataset, 64, experiment.seed(), ShortBatch::drop),
                 .optimizer = config.optimizer,
                 .config = config.training,
                 .device = device,
                 .seed = experiment.seed()}) {}
  Tensor parameters() const { return trainer.buffers().parameters(); }

  Experiment experiment;
  Trainer trainer;
};

/// Trains on both devices. The device of host memory draws the CPU's numbers, so the weights agree; CUDA draws its own, so there
/// they are finite, the same twice, and elsewhere than they began.
void expect_same_training(const std::vector<std::string>& overrides) {
  const RepeatableAgain after;
  const auto config = small_experiment(overrides);
  Training there(config, accelerator());
  const auto start = there.parameters().clone();
  EXPECT_EQ(start.device(), accelerator());
  constexpr int kSteps = 4;
  for (int i = 0; i < kSteps; ++i) there.trainer.step();
  there.trainer.check_finite();
  EXPECT_FALSE(there.parameters().equal(start));
  Training other(config, accelerator_is_real() ? accelerator() : at::kCPU);
  for (int i = 0; i < kSteps; ++i) other.trainer.step();
  if (accelerator_is_real()) {
    expect_finite(there.parameters());
    expect_equal(there.parameters(), other.parameters());
  } else {
    expect_close(there.parameters(), other.parameters(), 1e-3, 1e-4);  // Adam's first steps amplify rounding
  }
}

class EveryObjectiveTrains : public ::testing::TestWithParam<Component> {};
TEST_P(EveryObjectiveTrains, OnTheAcceleratorAsOnTheCpu) { expect_same_training({"objective.type=" + GetParam().name}); }
INSTANTIATE_TEST_SUITE_P(Catalogs, EveryObjectiveTrains, ::testing::ValuesIn(components({"objective"})), test_name);

class EveryOptimizerTrains : public ::testing::TestWithParam<Component> {};
TEST_P(EveryOptimizerTrains, OnTheAcceleratorAsOnTheCpu) { expect_same_training({"optimizer.type=" + GetParam().name}); }
TEST_P(EveryOptimizerTrains, WithStepsThatMayBeSkipped) {
  expect_same_training({"optimizer.type=" + GetParam().name, "training.non_finite=skip"});
}
INSTANTIATE_TEST_SUITE_P(Catalogs, EveryOptimizerTrains, ::testing::ValuesIn(components({"optimizer"})), test_name);

TEST(AcceleratorTraining, InPartsOfABatchWithSchedules) {
  expect_same_training({"training.accumulate=4", "objective.type=beta_vae",
                        "objective.beta={type: linear, from: 0, to: 1, steps: 3}",
                        "optimizer.learning_rate={type: cosine, from: 1e-3, to: 1e-4, warmup_steps: 2}"});
}

TEST(AcceleratorTraining, AStepDoesNotWaitForTheDevice) {
  if (accelerator_is_real()) GTEST_SKIP() << "waiting is counted by the device of host memory alone";
  const RepeatableAgain after;
  for (const auto* objective : {"elbo", "iwae", "piwae", "capacity"}) {
    for (const auto* skip : {"stop", "skip"}) {
      SCOPED_TRACE(std::string(objective) + ", " + skip);
      Training there(small_experiment({std::string("objective.type=") + objective, std::string("training.non_finite=") + skip,
                                       "training.log_every_steps=1000"}),
                     accelerator());
      there.trainer.step();
      take_reads();
      for (int i = 0; i < 3; ++i) there.trainer.step();
      EXPECT_EQ(take_reads(), std::vector<std::string>());
    }
  }
}

std::string weights_of(const std::filesystem::path& run) { return Checkpoint(run / "checkpoints" / "last").model_sha256(); }

TEST(AcceleratorTraining, ARunThatWasStoppedGoesOnToTheSameBits) {
  const RepeatableAgain after;
  const data_test::Folder folder;
  const Runtime runtime{.device = accelerator()};
  train(small_experiment({}), runtime, {.run = folder.path() / "whole"});
  train(small_experiment({"training.steps=3"}), runtime, {.run = folder.path() / "parts"});
  train(small_experiment({}), runtime, {.run = folder.path() / "parts", .start = RunStart::resume});
  EXPECT_EQ(weights_of(folder.path() / "parts"), weights_of(folder.path() / "whole"));
}

TEST(AcceleratorTraining, ARunIsEvaluatedToTheCpusNumbers) {
  const RepeatableAgain after;
  const data_test::Folder folder;
  train(small_experiment({}), {.device = accelerator()}, {.run = folder.path() / "run"});
  const auto measured = [&](at::Device device) {
    const auto opened = open_run(folder.path() / "run", {.device = device}, DataUse::load);
    const auto& experiment = opened.experiment;
    return evaluate({.model = *experiment.model,
                     .objective = experiment.objective.get(),
                     .dataset = experiment.dataset,
                     .limit = 130,
                     .samples = 4,
                     .device = device},
                    {"elbo", "bound", "log_likelihood", "active_units", "mutual_information", "reconstruction_error", "psnr"});
  };
  const auto there = measured(accelerator()), here = measured(at::kCPU);
  ASSERT_EQ(there.measurements.size(), here.measurements.size());
  for (size_t i = 0; i < here.measurements.size(); ++i) {
    EXPECT_NEAR(there.measurements[i].value, here.measurements[i].value, 1e-4 * (1 + std::abs(here.measurements[i].value)))
        << here.measurements[i].key();
  }
}

}  // namespace
}  // namespace elbo::conformance
