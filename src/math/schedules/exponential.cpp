#include "elbo/math/schedules/exponential.h"

#include <algorithm>
#include <cmath>

namespace elbo {
namespace {

class Exponential final : public Schedule {
 public:
  explicit Exponential(const ExponentialScheduleConfig& config) : config_(config) {}
  double at(const Clock& clock) const override {
    const double epochs = config_.every_epochs > 0 ? config_.every_epochs : 1;
    const double period =
        config_.every_steps > 0 ? static_cast<double>(config_.every_steps) : epochs * static_cast<double>(clock.steps_per_epoch);
    const double gone = static_cast<double>(std::min(clock.step, clock.total_steps)) / period;
    const double value = config_.from * std::pow(config_.factor, config_.decay == Decay::staircase ? std::floor(gone) : gone);
    return std::copysign(std::max(std::abs(value), std::min(config_.floor, std::abs(config_.from))), config_.from);
  }

 private:
  ExponentialScheduleConfig config_;
};

}  // namespace

void ExponentialScheduleConfig::check(Relations& relations) const {
  if (every_steps > 0 && every_epochs > 0) relations.problem("every_epochs", "every_steps is given too; keep one of them");
}

std::shared_ptr<Schedule> make_exponential_schedule(const ExponentialScheduleConfig& config) {
  return std::make_shared<Exponential>(config);
}

}  // namespace elbo
