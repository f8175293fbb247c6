#pragma once
#include <optional>

#include "elbo/experiment/config.h"
#include "elbo/training/checkpoint.h"

namespace elbo {

/// What the machine decides, not the experiment.
struct Runtime {
  at::Device device = at::kCPU;
  std::filesystem::path data_root = "data";
};

/// A config made flesh: components built, sizes checked against each other, nothing trained.
struct Experiment {
  ExperimentConfig config = {};
  Runtime runtime = {};
  std::shared_ptr<Dataset> dataset = nullptr;
  std::shared_ptr<Model> model = nullptr;
  std::shared_ptr<Objective> objective = nullptr;
  std::vector<BaseRecord> bases = {};  // of a second stage

  uint64_t seed() const { return static_cast<uint64_t>(config.seed); }
};

/// Whether the data is read into memory (training, evaluation) or only its headers are; a run that is opened needs neither.
enum class DataUse { load, headers };

/// Builds data set, model and objective on the runtime's device. Relations between components are checked before data is read.
/// A second stage's base is read from its run; where `continued` is a checkpoint of the stage, the base is one without weights,
/// which lie in that checkpoint.
Experiment build_experiment(const ExperimentConfig& config, const Runtime& runtime, DataUse use,
                            const Checkpoint* continued = nullptr);

/// A finished or running run, opened for reading: its config, and a model with the weights that are evaluated.
struct OpenedRun {
  std::filesystem::path run = {};  // the run's folder, or the checkpoint's where it stands alone
  Checkpoint checkpoint;
  Experiment experiment = {};
};

/// RUN of the command line: a run folder or a checkpoint in it. With `load` the data are read too, and a warning says if they are
/// not those of the training; with `headers` nothing else is, and `dataset` stays null. Throws: CheckpointError.
OpenedRun open_run(const std::filesystem::path& run, const Runtime& runtime, DataUse use);

/// Trains as the config says. `run` folder none: runs/<name>/<UTC time>.
struct TrainRequest {
  std::optional<std::filesystem::path> run = {};
  RunStart start = RunStart::fresh;
};
/// The run's folder when training ended.
std::filesystem::path train(const ExperimentConfig& config, const Runtime& runtime, const TrainRequest& request);

/// Every axis of the toolkit, for `elbo list`, `elbo describe` and the reference; sorted by axis.
const std::vector<const CatalogBase*>& all_catalogs();

}  // namespace elbo
