#pragma once
#include <memory>
#include <string>
#include <utility>

#include "elbo/math/schedule.h"
#include "elbo/math/shapes.h"

namespace elbo {

/// A scheduled number as the mathematics sees it: a 0-dim float32 tensor on the model's device, refilled by the trainer before
/// each step. A handle: copies share the tensor.
class Scheduled {
 public:
  Scheduled(std::string name, const ScheduledNumber& number, at::Device device);
  /// Writes the value of this clock into the tensor and remembers it.
  void refill(const Clock& clock);
  const Tensor& tensor() const { return state_->tensor; }
  /// The value last written, for logs.
  double value() const { return state_->value; }
  const std::string& name() const { return name_; }
  /// The same number under another name.
  Scheduled named(std::string name) const {
    auto copy = *this;
    copy.name_ = std::move(name);
    return copy;
  }

 private:
  struct State {
    Tensor tensor;
    double value = 0;
  };
  std::string name_;
  std::shared_ptr<Schedule> schedule_;
  std::shared_ptr<State> state_;
};

}  // namespace elbo
