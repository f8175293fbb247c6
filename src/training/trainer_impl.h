#pragma once
#include "elbo/math/precision.h"
#include "elbo/training/evaluation_mode.h"
#include "elbo/training/trainer.h"
#include "gradients.h"
#include "micro_batch.h"
#include "running_means.h"

namespace elbo::detail {

/// A phase with its optimiser and its share of the flat gradients.
struct ActivePhase {
  Phase phase = {};
  std::vector<Tensor> gradients = {};
  std::shared_ptr<Optimizer> optimizer = nullptr;

  bool is_active(int64_t step) const {
    return step >= phase.from_step && step < phase.until_step && (step - phase.from_step) % phase.every == 0;
  }
};

/// The terms of some rows of a batch, detached.
struct PartTerms {
  Batch batch = {};
  LossTerms terms = {};
};

/// What a phase's losses of a whole batch came to; the gradients are in the flat buffer.
struct PhaseLosses {
  Tensor loss = {};
  std::vector<PartTerms> parts = {};
};

inline Tf32Scope::Rounding rounding_of(Precision precision) {
  return precision == Precision::tf32 ? Tf32Scope::Rounding::allowed : Tf32Scope::Rounding::forbidden;
}

/// A scheduled number under the name it is logged by.
struct LoggedNumber {
  std::string name = {};
  Scheduled number;
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
  Step step_of(int64_t index, Noise& noise);
  /// Keys the phase's streams and puts the gradient of the whole batch into the flat buffer, one part at a time.
  detail::PhaseLosses phase_losses(size_t number, const Batch& batch, int64_t index);
  void run_phase(size_t number, const Batch& batch, int64_t index);
  void after_step(const Step& step);
  bool skips() const { return parts.config.non_finite == NonFinite::skip; }
  void count_skip();
  void note_non_finite(const Tensor& loss, const Tensor& norm, size_t phase);
  void check_finite();
  /// What is not finite in a phase of a step, evaluated once more.
  std::string explain(int64_t index, size_t phase);

  // the loop (trainer.cpp)
  TrainingResult run();
  void log_training();
  bool log_is_due(int64_t steps) const;
  void evaluate();
  void note_monitored(const NamedValues& values);
  /// With the checkpoint that a stop in its middle needs.
  void evaluate_unless_stopped();
  /// Evaluations in a row without a better monitored value have reached the patience.
  bool stopped_early() const;
  bool ended() const { return state.finished() || stopped_early(); }
  [[noreturn]] void throw_interrupted() const;
  bool checkpoint_is_due(const std::optional<BestValue>& best_before) const;

  // persistence (trainer_checkpoint.cpp)
  void write_checkpoint();
  /// Writes the checkpoint of this step over the one there is.
  void replace_checkpoint();
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
  std::vector<detail::LoggedNumber> logged_numbers = {};
  Streams streams;
  Collective single_process = {};
  Tensor index_tensor;  // 0-dim int64
  Tensor found_inf;     // 0-dim float32: 1 from the first non-finite loss on, of all or (where they are skipped) of this step
  Tensor first_bad;     // 0-dim int64: step * phases + phase of that, else -1; the last one where they are skipped
  Tensor skipped;       // 0-dim int64s: steps so far, now in a row, most in a row since they were last read
  Tensor skipped_in_a_row;
  Tensor most_in_a_row;
  Tensor update_norm;  // 0-dim, of the last step before a log point
  detail::RunningMeans means;
  bool initialised = false;
  std::optional<double> monitored = {};  // at this step
  std::optional<BestValue> best = {};
  bool monitor_checked = false;
  std::vector<double> history = {};  // Clock::monitored
  std::string measured = {};         // of best and history
  bool evaluation_due = false;
  double seconds = 0;  // in steps since the last log point
  int64_t examples = 0;
};

}  // namespace elbo
