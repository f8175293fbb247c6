#pragma once
#include "elbo/math/schedule.h"

namespace elbo {

/// Cycles that each rise along a straight line and then stay at the top; of beta, cyclical annealing of the KL term.
/// Source: Fu et al. 2019 (arXiv:1903.10145), eq. 6 and 7: 4 cycles, ratio 0.5. Past its length it stays at `to`.
struct CyclicalScheduleConfig {
  double from = 0;
  double to = 1;
  int64_t cycles = 4;
  double ratio = 0.5;
  int64_t steps = 0;
  double epochs = 0;
  template <class F>
  void fields(F& field) {
    field("from", from, "value at the start of a cycle", in_outer_range);
    field("to", to, "value at the top of a cycle and after the last", in_outer_range);
    field("cycles", cycles, "number of cycles", between(1, 1'000'000));
    field("ratio", ratio, "part of a cycle that rises; the rest stays at the top", more_than(0).at_most(1));
    field("steps", steps, "length of all cycles in steps; 0: by epochs", at_least(0));
    field("epochs", epochs, "length of all cycles in epochs; 0 with steps 0: the whole run", at_least(0));
  }
  void check(Relations& relations) const;
};

std::shared_ptr<Schedule> make_cyclical_schedule(const CyclicalScheduleConfig& config);

}  // namespace elbo
