#include "elbo/math/scheduled.h"

namespace elbo {

Scheduled::Scheduled(std::string name, const ScheduledNumber& number, at::Device device)
    : name_(std::move(name)), schedule_(number.make()), state_(std::make_shared<State>()) {
  state_->tensor = torch::zeros({}, torch::dtype(torch::kFloat).device(device));
  refill(Clock{});
}

void Scheduled::refill(const Clock& clock) {
  const double value = schedule_->at(clock);
  if (value == state_->value) return;  // constants cost nothing
  state_->value = value;
  state_->tensor.fill_(value);
}

}  // namespace elbo
