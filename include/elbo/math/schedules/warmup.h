#pragma once
#include "elbo/math/schedule.h"

namespace elbo {

/// A linear warm-up from zero before any other schedule: step t of S has (t + 1) / S of the value at which `then` starts; `then`
/// counts its own steps from the end of the warm-up, over the rest of the run.
/// Source: Goyal et al. 2017 (arXiv:1706.02677), section 2.2, gradual warm-up.
struct WarmupScheduleConfig {
  WarmupScheduleConfig();
  int64_t steps = 0;
  double epochs = 0;
  ScheduledNumber then;
  template <class F>
  void fields(F& field) {
    field("steps", steps, "length of the warm-up in steps; 0: by epochs", at_least(0));
    field("epochs", epochs, "length of the warm-up in epochs; 0 with steps 0: one epoch", at_least(0));
    field("then", then, "number or schedule that follows", in_outer_range);
  }
  void check(Relations& relations) const;
};

std::shared_ptr<Schedule> make_warmup_schedule(const WarmupScheduleConfig& config);

}  // namespace elbo
