#pragma once
#include <c10/core/Device.h>
#include <c10/core/thread_pool.h>

#include <functional>
#include <memory>

namespace elbo::detail {

/// While it lives, LibTorch's operations here run on one thread each, and run() has parts of the work done by as many threads as
/// there were. For networks called position by position: threads that share each of their many small operations wait for each
/// other longer than they work, and on a busy machine burn what others need. On the host only; elsewhere parts are done in turn.
class SideBySide {
 public:
  explicit SideBySide(c10::Device device);
  ~SideBySide();
  SideBySide(const SideBySide&) = delete;
  SideBySide& operator=(const SideBySide&) = delete;

  /// How many parts are done at a time.
  int64_t width() const { return width_; }
  /// part(i) for all i below count, without gradients. Throws: what the first of the parts that failed threw.
  void run(int64_t count, const std::function<void(int64_t)>& part);

 private:
  int threads_before_ = 1;
  int64_t width_ = 1;
  std::unique_ptr<c10::ThreadPool> helpers_ = {};
};

}  // namespace elbo::detail
