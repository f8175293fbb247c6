#pragma once
#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "elbo/data/dataset.h"
#include "elbo/evaluation/hook.h"
#include "elbo/models/model.h"
#include "elbo/objectives/objective.h"
#include "elbo/optim/optimizer.h"
#include "elbo/training/config.h"

namespace elbo {

/// The finished run that a second stage builds on. Its model is frozen, and config and weights go into the new run, which then
/// stands alone.
struct BaseConfig {
  std::string run = {};
  std::string checkpoint = "best";

  template <class F>
  void fields(F& field) {
    field("run", run, "folder of the finished run or of one of its checkpoints; of a folder of runs, the newest", required,
          non_empty);
    field("checkpoint", checkpoint, "which of its checkpoints: best (the last where there is no best), last, or step-N",
          non_empty);
  }
};

/// A whole experiment, as one YAML file says it.
struct ExperimentConfig {
  std::string name = {};
  int64_t seed = 1;
  std::optional<BaseConfig> base = {};
  DatasetChoice data{datasets, "fashion_mnist"};
  ModelChoice model{models, "vae"};
  ObjectiveChoice objective{objectives, "elbo"};
  OptimizerChoice optimizer{optimizers, "adam"};
  TrainingConfig training = {};
  EvaluationConfig evaluation = {};

  template <class F>
  void fields(F& field) {
    field("name", name, "name of the experiment, also of its folder under runs/: letters, digits, _ - . and /", required,
          non_empty);
    field("seed", seed, "seed of every random number of the run", between(0, 4294967295));
    field("base", base, "the finished run that this one builds on: a second stage, such as a prior over its codes");
    field("data", data, "the data set", required);
    field("model", model, "the model", required);
    field("objective", objective, "what is optimised", required);
    field("optimizer", optimizer, "how parameters are updated");
    field("training", training, "the training loop", required);
    field("evaluation", evaluation, "what is measured while training");
  }
  void check(Relations& relations) const;
};

/// Reads a file with `--set` overrides on top. Throws: ConfigError with every problem.
ExperimentConfig load_experiment(const std::filesystem::path& file, std::span<const std::string> overrides = {});

/// What is wrong with a name that becomes a folder, or nothing.
std::string name_problem(std::string_view name);

}  // namespace elbo
