#pragma once
#include "elbo/math/schedule.h"

namespace elbo {

/// Multiplied by `factor` whenever more than `patience` evaluations in a row failed to better the best monitored value by more
/// than `threshold`. A function of the evaluations so far and of nothing else, so that a continued run falls where the run that
/// was never stopped does. torch.optim.lr_scheduler.ReduceLROnPlateau with mode max and threshold_mode abs: monitored values are
/// of either sign, and a relative threshold would ask a negative bound to get worse.
struct PlateauScheduleConfig {
  double from = 1e-3;
  double factor = 0.1;
  int64_t patience = 10;
  double threshold = 0;
  int64_t cooldown = 0;
  double floor = 0;
  template <class F>
  void fields(F& field) {
    field("from", from, "value until the first plateau", in_outer_range);
    field("factor", factor, "what the value is multiplied by after a plateau", more_than(0).below(1));
    field("patience", patience, "evaluations without an improvement that are let pass", at_least(0));
    field("threshold", threshold, "an improvement is more than this, in the monitored value's unit", at_least(0));
    field("cooldown", cooldown, "evaluations after a fall that are not counted", at_least(0));
    field("floor", floor, "smallest absolute value", at_least(0));
  }
};

std::shared_ptr<Schedule> make_plateau_schedule(const PlateauScheduleConfig& config);

}  // namespace elbo
