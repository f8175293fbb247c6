#pragma once
#include <cstdint>

#include "elbo/config/catalog.h"
#include "elbo/config/choice.h"

namespace elbo {

/// Where training stands: all that a schedule may depend on.
struct Clock {
  int64_t step = 0;  // optimiser steps done
  int64_t steps_per_epoch = 1;
  int64_t total_steps = 1;
};

/// A number as a function of the clock. Torch-free.
class Schedule {
 public:
  virtual ~Schedule() = default;
  virtual double at(const Clock& clock) const = 0;
};

/// The axis `schedule`: constant, linear, cosine, exponential, multistep.
Catalog<Schedule>& schedules();

/// A config field that is a plain number or a schedule: `0.5` or `{type: linear, from: 0, to: 1, steps: 5000}`.
struct ScheduledNumber : Choice<Schedule> {
  explicit ScheduledNumber(double value);
};

}  // namespace elbo
