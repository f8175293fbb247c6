#pragma once
#include <cstdint>

// What libelbo_cuda.so and the program agree on: plain C types, no torch header. Kernels go to the current stream of `device` and
// return before they are done; they throw std::runtime_error when a launch fails.
namespace elbo::cuda_plugin {

/// Grows with every change below; the loader refuses a plugin of another version.
inline constexpr int kVersion = 1;
/// The plugin's only exported symbol, of type TableFunction.
inline constexpr char kTableSymbol[] = "elbo_cuda_table";

enum class Scalar : int { float32 = 0, float64 = 1 };

/// `rows` rows of `event` logits; row r goes with row r % target_rows of the target.
struct BernoulliRows {
  const void* logits = nullptr;
  const void* target = nullptr;
  int64_t rows = 0;
  int64_t target_rows = 0;
  int64_t event = 0;
  Scalar scalar = Scalar::float32;
  int device = 0;
};

struct Table {
  int version = kVersion;
  void (*bernoulli_forward)(const BernoulliRows& in, void* out) = nullptr;
  void (*bernoulli_backward)(const BernoulliRows& in, const void* grad_out, void* grad_logits) = nullptr;
};
using TableFunction = const Table* (*)();

}  // namespace elbo::cuda_plugin
