#pragma once
#include <optional>
#include <vector>

#include "elbo/experiment/experiment.h"
#include "elbo/models/code_prior.h"

namespace elbo {

/// The finished model of a second stage, and what its checkpoints record of it.
struct Base {
  std::shared_ptr<Model> model = nullptr;  // on the host, in evaluation mode, without gradients
  std::vector<BaseRecord> records = {};    // what it is, then what that one builds on, …
};

/// Reads the run that `base:` names; its scheduled numbers live on `device`. Throws: ConfigError where it is none,
/// CheckpointError where it can't be read.
Base load_base(const BaseConfig& config, at::Device device = at::kCPU);

/// The model that a checkpoint's records tell of, without its weights: those are the second stage's own. Null where there are
/// none.
std::shared_ptr<Model> rebuild_base(std::span<const BaseRecord> records, at::Device device = at::kCPU);

/// The seed of the run that a record tells of.
uint64_t seed_of(const BaseRecord& record);

/// Training rows as codes, encoded once, with the classes that the prior is conditioned on; validation rows with their codes
/// beside all else. Test rows stay as they are: the model encodes them itself. Draws of dynamic binarisation are made once.
std::shared_ptr<Dataset> encoded_set(std::shared_ptr<Dataset> dataset, CodePriorModel& model, at::Device device);

}  // namespace elbo
