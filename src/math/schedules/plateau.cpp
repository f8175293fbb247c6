#include "elbo/math/schedules/plateau.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace elbo {
namespace {

class Plateau final : public Schedule {
 public:
  explicit Plateau(const PlateauScheduleConfig& config) : config_(config) {}
  double at(const Clock& clock) const override {
    if (!clock.monitored) return config_.from;
    double value = config_.from;
    double best = -std::numeric_limits<double>::infinity();
    int64_t without_improvement = 0;
    int64_t resting = 0;
    for (const double monitored : *clock.monitored) {
      if (monitored > best + config_.threshold) {  // false for NaN
        best = monitored;
        without_improvement = 0;
      } else {
        ++without_improvement;
      }
      if (resting > 0) {
        --resting;
        without_improvement = 0;
      }
      if (without_improvement <= config_.patience) continue;
      value = fallen(value);
      resting = config_.cooldown;
      without_improvement = 0;
    }
    return value;
  }

 private:
  double fallen(double value) const {
    const double floor = std::min(config_.floor, std::abs(config_.from));
    return std::copysign(std::max(std::abs(value * config_.factor), floor), config_.from);
  }

  PlateauScheduleConfig config_;
};

}  // namespace

std::shared_ptr<Schedule> make_plateau_schedule(const PlateauScheduleConfig& config) { return std::make_shared<Plateau>(config); }

}  // namespace elbo
