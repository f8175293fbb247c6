#include "elbo/math/schedules/warmup.h"

#include <algorithm>
#include <cmath>

namespace elbo {
namespace {

class Warmup final : public Schedule {
 public:
  explicit Warmup(const WarmupScheduleConfig& config) : config_(config), then_(config.then.make()) {}
  double at(const Clock& clock) const override {
    const double epochs = config_.epochs > 0 ? config_.epochs : 1;
    const int64_t length = config_.steps > 0
                               ? config_.steps
                               : std::max<int64_t>(std::llround(epochs * static_cast<double>(clock.steps_per_epoch)), 1);
    auto rest = clock;
    rest.step = std::max<int64_t>(clock.step - length, 0);
    rest.total_steps = std::max<int64_t>(clock.total_steps - length, 1);
    const double value = then_->at(rest);
    return clock.step < length ? value * static_cast<double>(clock.step + 1) / static_cast<double>(length) : value;
  }

 private:
  WarmupScheduleConfig config_;
  std::shared_ptr<Schedule> then_;
};

}  // namespace

WarmupScheduleConfig::WarmupScheduleConfig() : then(scheduled_number(1)) {}

void WarmupScheduleConfig::check(Relations& relations) const {
  if (steps > 0 && epochs > 0) relations.problem("epochs", "steps is given too; keep one of them");
}

std::shared_ptr<Schedule> make_warmup_schedule(const WarmupScheduleConfig& config) { return std::make_shared<Warmup>(config); }

}  // namespace elbo
