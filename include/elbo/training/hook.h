#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "elbo/math/schedule.h"

namespace elbo {

struct NamedValue {
  std::string name = {};
  double value = 0;
};
using NamedValues = std::vector<NamedValue>;

/// Where training stands.
struct TrainingState {
  int64_t step = 0;  // steps done
  Clock clock = {};  // the same, with steps per epoch and the total

  /// Whole epochs done.
  int64_t epoch() const { return step / clock.steps_per_epoch; }
  bool at_epoch_end() const { return step % clock.steps_per_epoch == 0; }
  bool finished() const { return step >= clock.total_steps; }
};

/// What takes part in training from outside the loop: logs, evaluation, progress. Called in the order of the trainer's list.
class Hook {
 public:
  virtual ~Hook() = default;
  /// Before the first step of this process; `state.step` is past 0 when a run is continued.
  virtual void on_start(const TrainingState&) {}
  /// After every step; must not read from the device.
  virtual void on_step(const TrainingState&) {}
  /// At the end of every epoch and of training: measures the model, which is in evaluation mode and holds the averaged weights
  /// when averaging is on. Returns full names ("valid/bound"); empty when it isn't time. A long one looks at stop_requested() and
  /// throws Interrupted: the trainer then writes a checkpoint, and a continued run evaluates first.
  virtual NamedValues evaluate(const TrainingState&) { return {}; }
  /// Values to be written down. `split` is "train" for means since the last log point, else what stood before the '/' of the
  /// names that evaluate() returned, which come without it.
  virtual void on_values(const TrainingState&, std::string_view /*split*/, const NamedValues&) {}
  /// After the last checkpoint of a training that went to its end.
  virtual void on_finish(const TrainingState&) {}
};

}  // namespace elbo
