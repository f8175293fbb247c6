#pragma once
#include <array>
#include <string_view>
#include <utility>

#include "elbo/math/schedule.h"

namespace elbo {

/// Whether the value falls at every step, or all at once at the end of each period.
enum class Decay { smooth, staircase };
constexpr auto enum_names(Decay) {
  return std::array{std::pair{std::string_view("smooth"), Decay::smooth},
                    std::pair{std::string_view("staircase"), Decay::staircase}};
}

/// from * factor^(periods gone), never closer to zero than `floor`; it stands still when the run ends. With a period of one epoch
/// and `staircase` it is torch.optim.lr_scheduler.ExponentialLR.
struct ExponentialScheduleConfig {
  double from = 1;
  double factor = 0.95;
  double floor = 0;
  int64_t every_steps = 0;
  double every_epochs = 0;
  Decay decay = Decay::smooth;
  template <class F>
  void fields(F& field) {
    field("from", from, "value at the first step", in_outer_range);
    field("factor", factor, "what the value is multiplied by each period", more_than(0).at_most(1));
    field("floor", floor, "smallest absolute value", at_least(0));
    field("every_steps", every_steps, "period in steps; 0: by epochs", at_least(0));
    field("every_epochs", every_epochs, "period in epochs; 0 with every_steps 0: one epoch", at_least(0));
    field("decay", decay, "smooth: at every step; staircase: at the end of each period");
  }
  void check(Relations& relations) const;
};

std::shared_ptr<Schedule> make_exponential_schedule(const ExponentialScheduleConfig& config);

}  // namespace elbo
