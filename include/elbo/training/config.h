#pragma once
#include <optional>

#include "elbo/config/reader.h"

namespace elbo {

enum class Precision { float32 };
constexpr auto enum_names(Precision) { return std::array{std::pair{std::string_view("float32"), Precision::float32}}; }

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

/// The section `training`.
struct TrainingConfig {
  std::optional<int64_t> epochs = {};
  std::optional<int64_t> steps = {};
  double clip_norm = 0;
  double weight_average = 0;
  Precision precision = Precision::float32;
  bool deterministic = false;
  std::string monitor = "valid/bound";
  int64_t log_every_steps = 100;
  CheckpointConfig checkpoint = {};

  template <class F>
  void fields(F& field) {
    field("epochs", epochs, "length of training in passes over the data", between(1, 1e9));
    field("steps", steps, "length of training in optimiser steps; exactly one of epochs and steps is given", between(1, 1e12));
    field("clip_norm", clip_norm, "largest global norm of the gradient; 0 leaves it as it is", at_least(0));
    field("weight_average", weight_average,
          "decay of the averaged weights that are evaluated; 0 evaluates the weights themselves", at_least(0).below(1));
    field("precision", precision, "number type of parameters and activations: float32");
    field("deterministic", deterministic, "same bits on CUDA too, by slower operations where needed");
    field("monitor", monitor, "evaluated value that chooses the best checkpoint: higher is better, lower with a leading '-'");
    field("log_every_steps", log_every_steps, "steps between lines of metrics.jsonl; an epoch's end writes one too", at_least(1));
    field("checkpoint", checkpoint, "when checkpoints are written and which stay");
  }
  void check(Relations& relations) const;
};

}  // namespace elbo
