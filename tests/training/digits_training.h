#pragma once
#include "elbo/data/digits.h"
#include "training/fakes.h"

// A few steps on the digits: what the trainings of models with codes have in common.

namespace elbo::fakes {

/// A model and its objective come from the derived struct.
template <class ModelType>
struct DigitsTraining {
  DigitsTraining(int64_t steps, int64_t rows, double learning_rate) : batch_size(rows) {
    training.steps = steps;
    training.log_every_steps = 1;
    training.checkpoint = {.every_epochs = 1, .every_steps = 1, .keep = 100};
    adam.learning_rate = scheduled_number(learning_rate);
    load(datasets().make("digits", DataContext{.seed = 3}));
  }
  void load(std::shared_ptr<Dataset> rows) {
    dataset = std::move(rows);
    dataset->load(at::kCPU);
  }
  ModelContext context() { return {.spec = dataset->spec(), .init = init}; }

  TrainingParts parts(RunFolder* run = nullptr) {
    optimizer.set("adam", adam);
    TrainingParts all{.model = model,
                      .objective = objective,
                      .loader = std::make_shared<Loader>(dataset, batch_size, 3, ShortBatch::drop),
                      .optimizer = optimizer,
                      .config = training,
                      .seed = 3,
                      .run = run};
    if (run) all.hooks = {make_metrics_log(*run)};
    return all;
  }
  Tensor parameter_of_objective(const std::string& name) const { return objective->named_parameters()[name].detach().clone(); }

  int64_t batch_size;
  Stream init = Stream(3, "init", at::kCPU);
  std::shared_ptr<Dataset> dataset;
  std::shared_ptr<ModelType> model;
  std::shared_ptr<Objective> objective;
  AdamConfig adam = {};
  OptimizerChoice optimizer{optimizers, "adam"};
  TrainingConfig training = {};
};

/// A training that is cut after some steps and continued writes the files of one that wasn't. `make(steps)` gives a new one.
/// Returns what stands in metrics.jsonl.
template <class Make>
std::string expect_goes_on_to_the_bit(const Make& make, int64_t cut_after, int64_t steps) {
  TemporaryFolder whole, cut;
  const auto run_in = [&](const TemporaryFolder& folder, RunStart start, int64_t length) {
    RunFolder run(folder.path / "run", config_node(), start);
    auto training = make(length);
    Trainer trainer(training.parts(&run));
    if (start == RunStart::resume) trainer.resume();
    trainer.run();
  };
  run_in(whole, RunStart::fresh, steps);
  run_in(cut, RunStart::fresh, cut_after);
  run_in(cut, RunStart::resume, steps);
  const auto last = fs::path("run") / "checkpoints" / ("step-" + std::to_string(steps));
  for (const char* file : {"model.safetensors", "training.safetensors"}) {
    EXPECT_FALSE(contents(whole.path / last / file).empty());
    EXPECT_TRUE(contents(whole.path / last / file) == contents(cut.path / last / file)) << file << " differs";
  }
  auto log = contents(whole.path / "run" / "metrics.jsonl");
  EXPECT_TRUE(log == contents(cut.path / "run" / "metrics.jsonl"));
  return log;
}

}  // namespace elbo::fakes
