#pragma once
#include "elbo/training/evaluation_mode.h"
#include "elbo/training/trainer.h"
#include "gradients.h"
#include "running_means.h"

namespace elbo::detail {

/// A phase with its optimiser and its share of the flat gradients.
struct ActivePhase {
  Phase phase = {};
  std::vector<Tensor> gradients = {};
  std::shared_ptr<Optimizer> optimizer = nullptr;

  bool is_active(int64_t step) const { return step >= phase.from_step && (step - phase.from_step) % phase.every == 0; }
};

}  // namespace elbo::detail

namespace elbo {

struct Trainer::Impl {
  explicit Impl(TrainingParts parts);

  // the step (trainer_step.cpp)
  void initialise();
  void step();
  void refill(int64_t index);
  /// The batch of a step, its streams keyed for the first phase.
  Batch batch_of(int64_t index);
  Step step_of(int64_t index);
  void run_phase(size_t number, const Batch& batch, Step& step);
  void after_step(const Step& step);
  void note_non_finite(const Tensor& loss, const Tensor& norm, size_t phase);
  void check_finite();
  [[noreturn]] void explain(int64_t index, size_t phase);

  // the loop (trainer.cpp)
  TrainingResult run();
  void log_training();
  void evaluate();
  bool checkpoint_is_due(const std::optional<BestValue>& best_before) const;

  // persistence (trainer_checkpoint.cpp)
  void write_checkpoint();
  void point_links();
  void resume();
  std::vector<NamedTensor> optimizer_tensors() const;
  std::vector<NamedTensor> slices_of(const Tensor& flat, const std::string& prefix) const;
  /// "; the last good checkpoint is …", or nothing.
  std::string last_checkpoint() const;

  TrainingParts parts;
  TrainingState state = {};
  std::vector<torch::nn::Module*> modules = {};  // of model and objective, each once
  std::vector<torch::nn::Module*> stepped = {};  // those with an after_step that aren't frozen
  std::vector<detail::ActivePhase> phases = {};
  std::unique_ptr<FlatBuffers> buffers = nullptr;
  std::unique_ptr<WeightAverage> average = nullptr;
  std::vector<Scheduled> scheduled = {};
  Streams streams;
  Collective single_process = {};
  Tensor index_tensor;  // 0-dim int64
  Tensor found_inf;     // 0-dim float32: 1 from the first non-finite step on
  Tensor first_bad;     // 0-dim int64: step * phases + phase of that, else -1
  detail::RunningMeans means;
  bool initialised = false;
  std::optional<double> monitored = {};  // at this step
  std::optional<BestValue> best = {};
  bool monitor_checked = false;
};

}  // namespace elbo
