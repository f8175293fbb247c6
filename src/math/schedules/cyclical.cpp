#include "elbo/math/schedules/cyclical.h"

#include <algorithm>
#include <cmath>

namespace elbo {
namespace {

class Cyclical final : public Schedule {
 public:
  explicit Cyclical(const CyclicalScheduleConfig& config) : config_(config) {}
  double at(const Clock& clock) const override {
    const double length = config_.steps > 0    ? static_cast<double>(config_.steps)
                          : config_.epochs > 0 ? config_.epochs * static_cast<double>(clock.steps_per_epoch)
                                               : static_cast<double>(clock.total_steps);
    const auto step = static_cast<double>(clock.step);
    if (step >= length) return config_.to;
    const double cycles_gone = step * static_cast<double>(config_.cycles) / length;
    const double t = std::min((cycles_gone - std::floor(cycles_gone)) / config_.ratio, 1.0);
    return config_.from + t * (config_.to - config_.from);
  }

 private:
  CyclicalScheduleConfig config_;
};

}  // namespace

void CyclicalScheduleConfig::check(Relations& relations) const {
  if (steps > 0 && epochs > 0) relations.problem("epochs", "steps is given too; keep one of them");
}

std::shared_ptr<Schedule> make_cyclical_schedule(const CyclicalScheduleConfig& config) {
  return std::make_shared<Cyclical>(config);
}

}  // namespace elbo
