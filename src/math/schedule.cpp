#include "elbo/math/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "elbo/math/schedules/cyclical.h"
#include "elbo/math/schedules/exponential.h"
#include "elbo/math/schedules/multistep.h"
#include "elbo/math/schedules/plateau.h"
#include "elbo/math/schedules/warmup.h"

namespace elbo {
namespace {

double length_in_steps(int64_t steps, double epochs, const Clock& clock) {
  if (steps > 0) return static_cast<double>(steps);
  if (epochs > 0) return epochs * static_cast<double>(clock.steps_per_epoch);
  return static_cast<double>(clock.total_steps);
}

void check_length(int64_t steps, double epochs, Relations& relations) {
  if (steps > 0 && epochs > 0) relations.problem("epochs", "steps is given too; keep one of them");
}

class Constant final : public Schedule {
 public:
  explicit Constant(const ConstantScheduleConfig& config) : config_(config) {}
  double at(const Clock&) const override { return config_.value; }

 private:
  ConstantScheduleConfig config_;
};

class Linear final : public Schedule {
 public:
  explicit Linear(const LinearScheduleConfig& config) : config_(config) {}
  double at(const Clock& clock) const override {
    const double length = length_in_steps(config_.steps, config_.epochs, clock);
    const double t = std::clamp(static_cast<double>(clock.step) / length, 0.0, 1.0);
    return config_.from + t * (config_.to - config_.from);
  }

 private:
  LinearScheduleConfig config_;
};

class Cosine final : public Schedule {
 public:
  explicit Cosine(const CosineScheduleConfig& config) : config_(config) {}
  double at(const Clock& clock) const override {
    const auto step = static_cast<double>(clock.step);
    const auto warmup = static_cast<double>(config_.warmup_steps);
    if (step < warmup) return config_.from * (step + 1) / warmup;
    const double length = std::max(length_in_steps(config_.steps, config_.epochs, clock) - warmup, 1.0);
    const double t = std::clamp((step - warmup) / length, 0.0, 1.0);
    return config_.to + 0.5 * (config_.from - config_.to) * (1 + std::cos(std::numbers::pi * t));
  }

 private:
  CosineScheduleConfig config_;
};

}  // namespace

void LinearScheduleConfig::check(Relations& relations) const { check_length(steps, epochs, relations); }
void CosineScheduleConfig::check(Relations& relations) const { check_length(steps, epochs, relations); }

Catalog<Schedule>& schedules() {
  static Catalog<Schedule> catalog =
      Catalog<Schedule>("schedule")
          .add<ConstantScheduleConfig>("constant", "the same number throughout",
                                       [](const auto& c) { return std::make_shared<Constant>(c); })
          .add<CosineScheduleConfig>("cosine", "Loshchilov & Hutter 2017, eq. 5, with linear warm-up",
                                     [](const auto& c) { return std::make_shared<Cosine>(c); })
          .add("cyclical", "Fu et al. 2019, eq. 6", make_cyclical_schedule)
          .add("exponential", "a factor a period", make_exponential_schedule)
          .add<LinearScheduleConfig>("linear", "straight line, then constant",
                                     [](const auto& c) { return std::make_shared<Linear>(c); })
          .add("multistep", "a factor at each milestone", make_multistep_schedule)
          .add("plateau", "a factor when evaluations stop getting better", make_plateau_schedule)
          .add("warmup", "Goyal et al. 2017, section 2.2, before any other schedule", make_warmup_schedule)
          .shorthand("constant", "value");
  return catalog;
}

ScheduledNumber scheduled_number(double value) {
  ScheduledNumber number{schedules, "constant"};
  number.set("constant", ConstantScheduleConfig{.value = value});
  return number;
}

}  // namespace elbo
