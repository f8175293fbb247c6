#include "side_by_side.h"

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <vector>

namespace elbo::detail {

SideBySide::SideBySide(c10::Device device) : threads_before_(at::get_num_threads()) {
  if (!device.is_cpu() || threads_before_ < 2) return;
  width_ = threads_before_;
  at::set_num_threads(1);
}

SideBySide::~SideBySide() {
  helpers_.reset();
  if (width_ > 1) at::set_num_threads(threads_before_);
}

void SideBySide::run(int64_t count, const std::function<void(int64_t)>& part) {
  std::atomic<int64_t> next = 0;
  std::vector<std::exception_ptr> failures(static_cast<size_t>(count));
  const auto work = [&] {
    const torch::NoGradGuard no_grad;
    for (int64_t i = next++; i < count; i = next++) {
      try {
        part(i);
      } catch (...) {
        failures[static_cast<size_t>(i)] = std::current_exception();
        next = count;
      }
    }
  };
  const auto helpers = std::min(width_, count) - 1;
  if (helpers > 0 && !helpers_) {
    helpers_ = std::make_unique<c10::ThreadPool>(static_cast<int>(width_ - 1), -1, [] { at::set_num_threads(1); });
  }
  for (int64_t i = 0; i < helpers; ++i) helpers_->run(work);
  work();
  if (helpers > 0) helpers_->waitWorkComplete();
  for (const auto& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
}

}  // namespace elbo::detail
