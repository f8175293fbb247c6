#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "elbo/config/catalog.h"
#include "elbo/config/choice.h"

namespace elbo {

/// Where training stands: all that a schedule may depend on.
struct Clock {
  int64_t step = 0;  // optimiser steps done
  int64_t steps_per_epoch = 1;
  int64_t total_steps = 1;
  /// Monitored values so far, one an evaluation, higher is better; null before the first.
  std::shared_ptr<const std::vector<double>> monitored = nullptr;
};

/// A number as a function of the clock. Torch-free.
class Schedule {
 public:
  virtual ~Schedule() = default;
  virtual double at(const Clock& clock) const = 0;
};

/// The axis `schedule`: constant, cosine, linear.
Catalog<Schedule>& schedules();

/// A config field that is a plain number or a schedule: `0.5` or `{type: linear, from: 0, to: 1, steps: 5000}`.
using ScheduledNumber = Choice<Schedule>;
/// The default of such a field.
ScheduledNumber scheduled_number(double value);

/// The same number at every step.
struct ConstantScheduleConfig {
  double value = 1;
  template <class F>
  void fields(F& field) {
    field("value", value, "the number", in_outer_range);
  }
};

/// How long a schedule lasts: at most one of steps and epochs is set; with neither it lasts the whole run.
struct LinearScheduleConfig {
  double from = 0;
  double to = 1;
  int64_t steps = 0;
  double epochs = 0;
  template <class F>
  void fields(F& field) {
    field("from", from, "value at the first step", in_outer_range);
    field("to", to, "value at the end and after", in_outer_range);
    field("steps", steps, "length in steps; 0: by epochs", at_least(0));
    field("epochs", epochs, "length in epochs; 0 with steps 0: the whole run", at_least(0));
  }
  void check(Relations& relations) const;
};

/// Half a cosine from `from` to `to`, after a linear warm-up from zero.
/// Source: Loshchilov & Hutter 2017 (arXiv:1608.03983), eq. 5, without restarts.
struct CosineScheduleConfig {
  double from = 1;
  double to = 0;
  int64_t warmup_steps = 0;
  int64_t steps = 0;
  double epochs = 0;
  template <class F>
  void fields(F& field) {
    field("from", from, "value after the warm-up", in_outer_range);
    field("to", to, "value at the end and after", in_outer_range);
    field("warmup_steps", warmup_steps, "steps of linear warm-up from zero", at_least(0));
    field("steps", steps, "length in steps, warm-up included; 0: by epochs", at_least(0));
    field("epochs", epochs, "length in epochs, warm-up included; 0 with steps 0: the whole run", at_least(0));
  }
  void check(Relations& relations) const;
};

}  // namespace elbo
