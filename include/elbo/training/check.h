#pragma once
#include <string>

#include "elbo/models/model.h"
#include "elbo/objectives/objective.h"
#include "elbo/training/config.h"
#include "elbo/training/hook.h"

namespace elbo {

/// What makes the loss of an example depend on the others of its batch: "batch normalisation of model.decoder.layers.1", or
/// `objective_name` where the objective says so itself; empty where nothing does.
std::string batch_coupling(const Model& model, const Objective& objective, const std::string& objective_name = "the objective");

/// What a config of training asks of its parts, known before any data is read.
struct TrainingCheck {
  Model& model;
  Objective& objective;
  int64_t batch_size = 0;
  std::string objective_name = "the objective";
};
/// Throws: ConfigError when training.accumulate does not divide the batch or something couples it, or training.phases names a
/// phase that the objective does not have.
void check_training(const TrainingConfig& config, const TrainingCheck& parts);

/// Throws: ConfigError when training.monitor is not among evaluated values (full names), which it then lists.
void check_monitor(const std::string& monitor, const NamedValues& values);

}  // namespace elbo
