#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

namespace elbo::detail {

/// Memory for packed panels that is kept from call to call: a training step allocates none.
class Scratch {
 public:
  /// At least `count` floats at a cache line's start, of any content, until the next call.
  float* floats(int64_t count) {
    if (count > count_) {
      constexpr size_t kLine = 64;
      const size_t bytes = (static_cast<size_t>(count) * sizeof(float) + kLine - 1) / kLine * kLine;
      memory_.reset();
      count_ = 0;
      memory_.reset(static_cast<float*>(std::aligned_alloc(kLine, bytes)));
      if (!memory_) throw std::bad_alloc();
      count_ = count;
    }
    return memory_.get();
  }

 private:
  struct Free {
    void operator()(float* memory) const { std::free(memory); }
  };
  std::unique_ptr<float, Free> memory_;
  int64_t count_ = 0;
};

}  // namespace elbo::detail
