#include "elbo/math/schedules/multistep.h"

#include <algorithm>
#include <cmath>

namespace elbo {
namespace {

class Multistep final : public Schedule {
 public:
  explicit Multistep(const MultistepScheduleConfig& config) : config_(config) {}
  double at(const Clock& clock) const override {
    const auto step = static_cast<double>(clock.step);
    const auto steps_per_epoch = static_cast<double>(clock.steps_per_epoch);
    const auto passed =
        std::count_if(config_.steps.begin(), config_.steps.end(), [&](int64_t milestone) { return milestone <= clock.step; }) +
        std::count_if(config_.epochs.begin(), config_.epochs.end(),
                      [&](double milestone) { return milestone * steps_per_epoch <= step; });
    return config_.from * std::pow(config_.factor, static_cast<double>(passed));
  }

 private:
  MultistepScheduleConfig config_;
};

}  // namespace

void MultistepScheduleConfig::check(Relations& relations) const {
  if (!steps.empty() && !epochs.empty()) relations.problem("epochs", "steps is given too; keep one of them");
  if (!std::is_sorted(steps.begin(), steps.end())) relations.problem("steps", "milestones must ascend");
  if (!std::is_sorted(epochs.begin(), epochs.end())) relations.problem("epochs", "milestones must ascend");
}

std::shared_ptr<Schedule> make_multistep_schedule(const MultistepScheduleConfig& config) {
  return std::make_shared<Multistep>(config);
}

}  // namespace elbo
