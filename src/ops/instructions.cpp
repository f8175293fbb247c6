#include "elbo/ops/instructions.h"

#include <algorithm>
#include <atomic>

namespace elbo {
namespace {

Instructions detect_instructions() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return Instructions::portable;
  return __builtin_cpu_supports("avx512f") ? Instructions::avx512 : Instructions::avx2;
#else
  return Instructions::portable;
#endif
}

std::atomic<Instructions>& most_instructions() {
  static std::atomic<Instructions> most = best_instructions();
  return most;
}

}  // namespace

Instructions best_instructions() {
  static const Instructions best = detect_instructions();
  return best;
}

Instructions instructions_in_use() { return most_instructions(); }

InstructionsScope::InstructionsScope(Instructions most)
    : previous_(most_instructions().exchange(std::min(most, best_instructions()))) {}
InstructionsScope::~InstructionsScope() { most_instructions() = previous_; }

}  // namespace elbo
