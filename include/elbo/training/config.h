#pragma once
#include <map>
#include <optional>

#include "elbo/config/reader.h"
#include "elbo/optim/optimizer.h"

namespace elbo {

/// Number type of matrix products and convolutions. Parameters, optimisers, likelihoods and divergences are float32 in all.
enum class Precision {
  float32,
  tf32,  // float32 whose factors NVIDIA's tensor cores may round to 10 bits of mantissa; on other devices float32
  bfloat16,
};
constexpr auto enum_names(Precision) {
  return std::array{std::pair{std::string_view("float32"), Precision::float32},
                    std::pair{std::string_view("tf32"), Precision::tf32},
                    std::pair{std::string_view("bfloat16"), Precision::bfloat16}};
}

/// What becomes of a step whose loss or gradient is not finite.
enum class NonFinite {
  stop,  // an error that names the term, the parameter and the examples
  skip,  // nothing moves, and training goes on
};
constexpr auto enum_names(NonFinite) {
  return std::array{std::pair{std::string_view("stop"), NonFinite::stop}, std::pair{std::string_view("skip"), NonFinite::skip}};
}

/// When checkpoints are written and which stay. One is always written at the end and whenever the monitored value is the best so
/// far.
struct CheckpointConfig {
  int64_t every_epochs = 1;
  int64_t every_steps = 0;
  int64_t keep = 3;

  template <class F>
  void fields(F& field) {
    field("every_epochs", every_epochs, "epochs between checkpoints; 0 for none", at_least(0));
    field("every_steps", every_steps, "steps between checkpoints besides; 0 for none", at_least(0));
    field("keep", keep, "how many of the newest stay; the best and the last always do", at_least(1));
  }
};

/// Ends training when the monitored value has stopped rising. Source: Prechelt 1998 ("Early stopping - but when?"), the patience
/// form that Keras made common.
struct EarlyStoppingConfig {
  int64_t patience = 0;
  double min_delta = 0;

  template <class F>
  void fields(F& field) {
    field("patience", patience, "evaluations in a row without a better monitored value that end training; 0: never", at_least(0));
    field("min_delta", min_delta, "what a value must be better by to count", at_least(0));
  }
};

/// What one phase of the objective's has of its own.
struct PhaseConfig {
  OptimizerChoice optimizer{optimizers};

  template <class F>
  void fields(F& field) {
    field("optimizer", optimizer, "how this phase's parameters are updated; absent: as the others");
  }
};

/// The section `training`.
struct TrainingConfig {
  std::optional<int64_t> epochs = {};
  std::optional<int64_t> steps = {};
  int64_t accumulate = 1;
  double clip_norm = 0;
  double weight_average = 0;
  Precision precision = Precision::float32;
  Precision evaluation_precision = Precision::float32;
  bool deterministic = false;
  NonFinite non_finite = NonFinite::stop;
  int64_t max_skipped = 10;
  std::string monitor = "valid/bound";
  EarlyStoppingConfig early_stopping = {};
  std::map<std::string, PhaseConfig> phases = {};
  int64_t log_every_steps = 100;
  CheckpointConfig checkpoint = {};

  template <class F>
  void fields(F& field) {
    field("epochs", epochs, "length of training in passes over the data", between(1, 1e9));
    field("steps", steps, "length of training in optimiser steps; exactly one of epochs and steps is given", between(1, 1e12));
    field("accumulate", accumulate,
          "parts that a batch is worked through in, to save memory; loss and gradient are those of the whole", between(1, 65536));
    field("clip_norm", clip_norm, "largest global norm of the gradient; 0 leaves it as it is", at_least(0));
    field("weight_average", weight_average,
          "decay of the averaged weights that are evaluated; 0 evaluates the weights themselves", at_least(0).below(1));
    field("precision", precision, "number type of matrix products and convolutions; parameters and losses stay float32");
    field("evaluation_precision", evaluation_precision, "the same while evaluating during training");
    field("deterministic", deterministic, "same bits on CUDA too, by slower operations where needed");
    field("non_finite", non_finite, "what becomes of a step whose loss or gradient is not finite");
    field("max_skipped", max_skipped, "skipped steps in a row that end training after all", at_least(1));
    field("monitor", monitor,
          "evaluated value that chooses the best checkpoint: higher is better, lower with a leading '-'; none: the last one "
          "stands");
    field("early_stopping", early_stopping, "when training ends before its length");
    field("phases", phases, "by the name of an objective's phase: what it has of its own");
    field("log_every_steps", log_every_steps, "steps between lines of metrics.jsonl; an epoch's end writes one too", at_least(1));
    field("checkpoint", checkpoint, "when checkpoints are written and which stay");
  }
  void check(Relations& relations) const;
  bool chooses_best() const { return monitor != "none"; }
};

}  // namespace elbo
