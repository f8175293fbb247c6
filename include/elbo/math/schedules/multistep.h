#pragma once
#include <vector>

#include "elbo/math/schedule.h"

namespace elbo {

/// A staircase: multiplied by `factor` at each milestone. With milestones in epochs it is torch.optim.lr_scheduler.MultiStepLR.
struct MultistepScheduleConfig {
  double from = 1;
  double factor = 0.1;
  std::vector<int64_t> steps = {};
  std::vector<double> epochs = {};
  template <class F>
  void fields(F& field) {
    field("from", from, "value before the first milestone", in_outer_range);
    field("factor", factor, "what the value is multiplied by at each milestone", more_than(0));
    field("steps", steps, "milestones in steps, ascending; []: by epochs", at_least(0));
    field("epochs", epochs, "milestones in epochs, ascending; [] with steps []: none", at_least(0));
  }
  void check(Relations& relations) const;
};

std::shared_ptr<Schedule> make_multistep_schedule(const MultistepScheduleConfig& config);

}  // namespace elbo
