#pragma once
#include <ucontext.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <stdexcept>
#include <vector>

#include "../../src/ops/cuda_plugin/kernels.h"

// Enough of CUDA to run kernels on the CPU: the names the language gives them, and launch(). A block's threads are fibers that
// take turns and wait at barriers and shuffles as warps do, first in ascending order, then (see reversed) in descending order, so
// that a missing barrier shows. It says whether the arithmetic, the indexing and the barriers are right; not whether a kernel is
// fast.
#define __global__
#define __device__
#define __shared__ static
#define __launch_bounds__(...)

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr dim3(unsigned x_, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}  // NOLINT: CUDA's is implicit
};

namespace cuda_on_host {

enum class Waiting { nowhere, at_warp, at_block };

struct Fiber {
  ucontext_t context = {};
  std::unique_ptr<char[]> stack = nullptr;
  dim3 place{0, 0, 0};
  Waiting waiting = Waiting::nowhere;
  bool ended = false;
};

struct Block {
  std::vector<Fiber> fibers = {};
  ucontext_t scheduler = {};
  size_t running = 0;
  std::function<void()> body = {};
  uint64_t exchanged[1024] = {};  // by shuffles
};

inline thread_local Block* block = nullptr;
/// In which order fibers take turns.
inline thread_local bool reversed = false;
inline thread_local dim3 block_place{0, 0, 0}, block_size{1}, grid_size{1};

inline void wait(Waiting where) {
  auto& fiber = block->fibers[block->running];
  fiber.waiting = where;
  swapcontext(&fiber.context, &block->scheduler);
}

inline void fiber_main() {
  block->body();
  auto& fiber = block->fibers[block->running];
  fiber.ended = true;
  swapcontext(&fiber.context, &block->scheduler);
}

/// Lets go those of [begin, end) that wait at `where`, if nobody alive there is elsewhere. Whether anybody was.
inline bool release(size_t begin, size_t end, Waiting where) {
  size_t waiting = 0, alive = 0;
  for (size_t i = begin; i < end; ++i) {
    alive += !block->fibers[i].ended;
    waiting += !block->fibers[i].ended && block->fibers[i].waiting == where;
  }
  if (waiting == 0 || waiting < alive) return false;
  for (size_t i = begin; i < end; ++i) block->fibers[i].waiting = Waiting::nowhere;
  return true;
}

inline void run_block() {
  constexpr size_t kWarpSize = 32;
  const size_t count = block->fibers.size();
  for (;;) {
    bool any = false;
    for (size_t n = 0; n < count; ++n) {
      const size_t i = reversed ? count - 1 - n : n;
      auto& fiber = block->fibers[i];
      if (fiber.ended || fiber.waiting != Waiting::nowhere) continue;
      any = true;
      block->running = i;
      swapcontext(&block->scheduler, &fiber.context);
    }
    for (size_t w = 0; w < count; w += kWarpSize) any |= release(w, std::min(count, w + kWarpSize), Waiting::at_warp);
    any |= release(0, count, Waiting::at_block);
    if (any) continue;
    for (const auto& fiber : block->fibers) {
      if (!fiber.ended) throw std::logic_error("threads wait for others that will never come");
    }
    return;
  }
}

/// A function of its own, since getcontext() may return twice and the caller's loop counters must not notice.
[[gnu::noinline]] inline void start(Fiber& fiber, size_t stack_size) {
  getcontext(&fiber.context);
  fiber.context.uc_stack = {.ss_sp = fiber.stack.get(), .ss_flags = 0, .ss_size = stack_size};
  makecontext(&fiber.context, fiber_main, 0);
}

inline void run_grid(dim3 blocks, dim3 threads, const std::function<void()>& body) {
  constexpr size_t kStack = size_t{1} << 16;
  block_size = threads;
  grid_size = blocks;
  Block now;
  now.body = body;
  now.fibers.resize(size_t{threads.x} * threads.y * threads.z);
  for (auto& fiber : now.fibers) fiber.stack = std::make_unique_for_overwrite<char[]>(kStack);
  block = &now;
  for (unsigned y = 0; y < blocks.y; ++y) {
    for (unsigned x = 0; x < blocks.x; ++x) {
      block_place = {x, y, 0};
      for (size_t i = 0; i < now.fibers.size(); ++i) {
        auto& fiber = now.fibers[i];
        fiber.place = {static_cast<unsigned>(i % threads.x), static_cast<unsigned>(i / threads.x), 0};
        fiber.waiting = Waiting::nowhere;
        fiber.ended = false;
        start(fiber, kStack);
      }
      run_block();
    }
  }
  block = nullptr;
}

/// threadIdx and its like, whose members depend on who asks.
struct ThreadPlace {
  struct Member {
    unsigned dim3::*member;
    operator unsigned() const { return block->fibers[block->running].place.*member; }  // NOLINT: used as a number
  };
  Member x{&dim3::x}, y{&dim3::y};
};

template <class T>
T shuffled(T value, size_t from) {
  static_assert(sizeof(T) <= sizeof(uint64_t));
  auto& mine = block->exchanged[block->running];
  mine = 0;
  std::memcpy(&mine, &value, sizeof(T));
  wait(Waiting::at_warp);
  T result;
  std::memcpy(&result, &block->exchanged[from < block->fibers.size() ? from : block->running], sizeof(T));
  wait(Waiting::at_warp);  // before anybody writes again
  return result;
}

}  // namespace cuda_on_host

inline const cuda_on_host::ThreadPlace threadIdx;
inline thread_local const dim3& blockIdx = cuda_on_host::block_place;
inline thread_local const dim3& gridDim = cuda_on_host::grid_size;

inline void __syncthreads() { cuda_on_host::wait(cuda_on_host::Waiting::at_block); }
template <class T>
T __shfl_down_sync(unsigned, T value, int offset) {
  const size_t me = cuda_on_host::block->running, lane = me % 32;
  return cuda_on_host::shuffled(value, lane + static_cast<size_t>(offset) < 32 ? me + static_cast<size_t>(offset) : me);
}
template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  return cuda_on_host::shuffled(value, cuda_on_host::block->running ^ static_cast<size_t>(mask));
}
inline void atomicMin(unsigned long long* to, unsigned long long value) { *to = std::min(*to, value); }

namespace elbo::cuda_plugin {
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 blocks, dim3 threads, StreamHandle, Arguments... arguments) {
  cuda_on_host::run_grid(blocks, threads, [=] { kernel(static_cast<Parameters>(arguments)...); });
}
}  // namespace elbo::cuda_plugin
