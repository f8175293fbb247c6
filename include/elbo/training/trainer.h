#pragma once
#include <memory>

#include "elbo/data/loader.h"
#include "elbo/models/model.h"
#include "elbo/objectives/objective.h"
#include "elbo/optim/average.h"
#include "elbo/optim/optimizer.h"
#include "elbo/training/checkpoint.h"
#include "elbo/training/config.h"
#include "elbo/training/hook.h"
#include "elbo/training/run_folder.h"

namespace elbo {

/// What a training is made of.
struct TrainingParts {
  std::shared_ptr<Model> model = nullptr;
  std::shared_ptr<Objective> objective = nullptr;
  std::shared_ptr<Loader> loader = nullptr;
  OptimizerChoice optimizer{optimizers, "adam"};
  TrainingConfig config = {};
  at::Device device = at::kCPU;
  uint64_t seed = 0;
  std::string data_sha256 = {};  // recorded in checkpoints; a run continues on the same data only
  DataSpec data_spec = {};       // recorded in checkpoints
  std::vector<BaseRecord> bases = {};  // recorded in checkpoints
  std::string measured = {};     // what the monitored value is measured on; a continued run starts its best anew where it differs
  bool log_performance = false;  // examples a second and peak memory among the logged values
  RunFolder* run = nullptr;      // outlives the trainer; without one nothing is written
  std::vector<std::shared_ptr<Hook>> hooks = {};
  Collective* collective = nullptr;  // outlives the trainer; a single process without one
};

struct TrainingResult {
  TrainingState state = {};
  std::optional<BestValue> best = {};
  bool stopped_early = false;
};

/// Minimises an objective: phases, optimisers, averaging, checkpoints. Everything of a particular method is in its objective's
/// phases and its modules' after_step. Moves model and objective to the device and makes their parameters views of flat buffers.
/// A submodule that is in evaluation mode when the trainer is built is frozen: it stays so and its after_step isn't called.
class Trainer {
 public:
  explicit Trainer(TrainingParts parts);
  ~Trainer();
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  /// Continues the run of the run folder from its last checkpoint, bit for bit as if it had never stopped; does nothing where
  /// there is none yet. Throws: CheckpointError.
  void resume();
  /// Trains to the end, or to where training.early_stopping ends it. Throws: NumericalError when something became non-finite (too
  /// often in a row, where such steps are skipped); Interrupted after a stop request and its checkpoint; ConfigError when the
  /// monitored value isn't among those that the hooks' first evaluation returned.
  TrainingResult run();
  /// One step, without logs and checkpoints. Throws: NumericalError (on CUDA only when check_finite is called).
  void step();
  /// Throws NumericalError if a step since the last call met something non-finite; reads from the device.
  void check_finite();
  /// Writes checkpoints/step-N of the run folder.
  void write_checkpoint();

  const TrainingState& state() const;
  const FlatBuffers& buffers() const;
  /// nullptr where averaging is off.
  const WeightAverage* average() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace elbo
