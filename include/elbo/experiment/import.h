#pragma once
#include "elbo/experiment/experiment.h"
#include "elbo/training/import.h"

namespace elbo {

/// Makes a run of a config and of weights that another program trained: its folder holds one checkpoint, step 0, which every
/// command takes and from which a training with `--resume` goes on. The data are read: a checkpoint records what they were.
/// Throws: CheckpointError where the weights don't fit or the folder holds something, before anything is written.
struct ImportRequest {
  std::filesystem::path weights = {};  // a safetensors file
  std::filesystem::path run = {};
  ImportOptions options = {};
};
ImportReport import_run(const ExperimentConfig& config, const Runtime& runtime, const ImportRequest& request);

}  // namespace elbo
