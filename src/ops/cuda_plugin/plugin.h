#pragma once
#include <cstdint>

// What libelbo_cuda.so and the program agree on: plain C types, no torch header. Kernels go to the current stream of `device` and
// return before they are done; they throw std::runtime_error when a launch fails.
namespace elbo::cuda_plugin {

/// Grows with every change below; the loader refuses a plugin of another version.
inline constexpr int kVersion = 2;
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

/// `rows` rows of `event` values (or noise); row r goes with row r % parameter_rows of mean and log_var.
struct NormalRows {
  const void* value = nullptr;
  const void* mean = nullptr;
  const void* log_var = nullptr;
  int64_t rows = 0;
  int64_t parameter_rows = 0;
  int64_t event = 0;
  Scalar scalar = Scalar::float32;
  int device = 0;
};
/// Where gradients go; a null pointer is one that nobody asks for.
struct NormalGradients {
  void* value = nullptr;
  void* mean = nullptr;
  void* log_var = nullptr;
};

struct ClippedValues {
  const void* x = nullptr;
  int64_t count = 0;
  double lo = 0;
  double hi = 0;
  Scalar scalar = Scalar::float32;
  int device = 0;
};

/// Rows [rows, size] and codes [num_codes, size], float32. The search is for the least half_squares - z e of the centred ones,
/// the distance is that of the given ones.
struct CodeSearch {
  const float* z = nullptr;
  const float* codes = nullptr;
  const float* centred_z = nullptr;
  const float* centred_codes = nullptr;
  const float* half_squares = nullptr;  // [num_codes]: |centred code|^2 / 2
  int64_t rows = 0;
  int64_t num_codes = 0;
  int64_t size = 0;
  uint64_t* best = nullptr;  // [rows], to work in
  int64_t* index = nullptr;
  float* distance = nullptr;
  int device = 0;
};

/// order[begin[v]] to order[begin[v + 1] - 1] are the rows of code v, in their order.
struct SortedCodes {
  const void* z = nullptr;
  const int64_t* order = nullptr;
  const int64_t* begin = nullptr;  // [num_codes + 1]
  int64_t num_codes = 0;
  int64_t size = 0;
  Scalar scalar = Scalar::float32;
  int device = 0;
};

struct Table {
  int version = kVersion;
  void (*bernoulli_forward)(const BernoulliRows& in, void* out) = nullptr;
  void (*bernoulli_backward)(const BernoulliRows& in, const void* grad_out, void* grad_logits) = nullptr;
  // As the functions of normal_cpu.h.
  void (*normal_log_prob_forward)(const NormalRows& in, void* out) = nullptr;
  void (*normal_log_prob_backward)(const NormalRows& in, const void* grad_out, const NormalGradients& grads) = nullptr;
  void (*normal_rsample_forward)(const NormalRows& in, void* out) = nullptr;
  void (*normal_rsample_backward)(const NormalRows& in, const void* grad_out, const NormalGradients& grads) = nullptr;
  void (*normal_kl_forward)(const NormalRows& in, void* out) = nullptr;
  void (*normal_kl_backward)(const NormalRows& in, const void* grad_out, const NormalGradients& grads) = nullptr;
  void (*soft_clip_forward)(const ClippedValues& in, void* out) = nullptr;
  void (*soft_clip_backward)(const ClippedValues& in, const void* grad_out, void* grad) = nullptr;
  void (*nearest_code)(const CodeSearch& in) = nullptr;
  /// [num_codes, size] of the rows' type, added in float64.
  void (*code_sums)(const SortedCodes& in, void* sum) = nullptr;
};
using TableFunction = const Table* (*)();

}  // namespace elbo::cuda_plugin
