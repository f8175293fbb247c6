// No torch header here: this file is compiled with OpenMP, with which LibTorch's precompiled header would not match.
#include "linear_cpu.h"

#include "elbo/ops/instructions.h"
#include "packing.h"

namespace elbo::detail {
namespace {

constexpr int64_t kSerialElements = int64_t{1} << 14;  // less isn't worth waking threads
constexpr int64_t kStretch = 1024;                     // elements of a task forward
constexpr int64_t kStripe = 64;                        // columns of a task backward
constexpr int64_t kRowBlock = 64;                      // rows summed before they go into the total

/// tanh to 2 units in the last place or so: near zero the odd polynomial of Moshier's Cephes library (tanhf.c), elsewhere
/// 1 - 2 / (1 + exp(2 |x|)).
template <int W>
[[gnu::always_inline]] inline void tanh_of(const FloatVector<W>& x, FloatVector<W>& result) {
  using Vector = FloatVector<W>;
  using Bits = IntVector<W>;
  const Bits sign = (Bits)x & (int32_t)0x80000000;
  const Vector magnitude = (Vector)((Bits)x ^ sign);
  // exp(y), y = 2 |x| up to 20, from which on the result is 1.
  const Vector doubled = magnitude + magnitude;
  const Vector y = doubled > 20.f ? Vector{} + 20.f : doubled;
  const float magic = 12582912.f;  // 1.5 2^23 leaves the rounded integer in the low bits
  const Vector shifted = y * 1.44269504088896341f + magic;
  const Vector n = shifted - magic;
  const Vector r = (y - n * 0.693359375f) + n * 2.12194440e-4f;
  Vector p = r * 0.0013836845755577087f + 0.008374815806746483f;
  p = p * r + 0.04166822507977486f;
  p = p * r + 0.16666419804096222f;
  p = p * r + 0.49999991059303284f;
  p = p * r + 1.f;
  p = p * r + 1.f;
  const Bits exponent = ((Bits)shifted - 0x4b400000 + 127) << 23;
  const Vector far = 1.f - 2.f / (p * (Vector)exponent + 1.f);

  const Vector square = x * x;
  Vector q = square * -5.70498872745e-3f + 2.06390887954e-2f;
  q = q * square - 5.37397155531e-2f;
  q = q * square + 1.33314422036e-1f;
  q = q * square - 3.33332819422e-1f;
  const Vector near = magnitude + magnitude * (q * square);
  const Vector positive = magnitude < 0.625f ? near : far;
  result = x != x ? x : (Vector)((Bits)positive | sign);
}

template <int W, Nonlinearity how>
[[gnu::always_inline]] inline void activate_vector(FloatVector<W>& y) {
  if constexpr (how == Nonlinearity::relu) y = y <= 0.f ? FloatVector<W>{} : y;  // a NaN stays
  if constexpr (how == Nonlinearity::tanh) tanh_of<W>(FloatVector<W>(y), y);
}

template <int W, Nonlinearity how>
[[gnu::always_inline]] inline void slope_vector(const FloatVector<W>& y, FloatVector<W>& grad) {
  if constexpr (how == Nonlinearity::relu) grad = y <= 0.f ? FloatVector<W>{} : grad;
  if constexpr (how == Nonlinearity::tanh) grad = grad - grad * (y * y);
}

template <int W, Nonlinearity how>
[[gnu::always_inline]] inline void activate_stretch(float* y, int64_t count) {
  FloatVector<W> vector;
  int64_t i = 0;
  for (; i + W <= count; i += W) {
    std::memcpy(&vector, y + i, sizeof(vector));
    activate_vector<W, how>(vector);
    std::memcpy(y + i, &vector, sizeof(vector));
  }
  if (i == count) return;
  float part[W] = {};
  move_part<W / 2>(part, y + i, count - i);
  std::memcpy(&vector, part, sizeof(vector));
  activate_vector<W, how>(vector);
  std::memcpy(part, &vector, sizeof(vector));
  move_part<W / 2>(y + i, part, count - i);
}

/// Columns `first` to `first` + `count`, at most kStripe.
template <int W, Nonlinearity how>
[[gnu::always_inline]] inline void undo_stripe(const LinearBackward& in, int64_t first, int64_t count) {
  using Vector = FloatVector<W>;
  constexpr int64_t kVectors = kStripe / W;
  const int64_t whole = count / W, rest = count % W;
  Vector total[kVectors + 1] = {};
  for (int64_t begin = 0; begin < in.rows; begin += kRowBlock) {
    Vector sum[kVectors + 1] = {};
    for (int64_t row = begin; row < std::min(begin + kRowBlock, in.rows); ++row) {
      const int64_t at = row * in.columns + first;
      Vector grad, y{};
      for (int64_t v = 0; v < whole; ++v) {
        std::memcpy(&grad, in.grad + at + v * W, sizeof(grad));
        if constexpr (how != Nonlinearity::none) {
          std::memcpy(&y, in.y + at + v * W, sizeof(y));
          slope_vector<W, how>(y, grad);
          std::memcpy(in.below + at + v * W, &grad, sizeof(grad));
        }
        sum[v] += grad;
      }
      if (rest == 0) continue;
      float part[W] = {};
      move_part<W / 2>(part, in.grad + at + whole * W, rest);
      std::memcpy(&grad, part, sizeof(grad));
      if constexpr (how != Nonlinearity::none) {
        move_part<W / 2>(part, in.y + at + whole * W, rest);
        std::memcpy(&y, part, sizeof(y));
        slope_vector<W, how>(y, grad);
        std::memcpy(part, &grad, sizeof(grad));
        move_part<W / 2>(in.below + at + whole * W, part, rest);
      }
      sum[whole] += grad;
    }
    for (int64_t v = 0; v < whole + (rest > 0); ++v) total[v] += sum[v];
  }
  if (!in.bias) return;
  for (int64_t c = 0; c < count; ++c) in.bias[first + c] = total[c / W][c % W];
}

// ---- compiled for each instruction set ----

using Activate = void (*)(float* y, int64_t count);
using Undo = void (*)(const LinearBackward& in, int64_t first, int64_t count);
struct Functions {
  Activate activate = nullptr;
  Undo undo = nullptr;
};

template <Nonlinearity how>
struct Portable {
  static void activate(float* y, int64_t count) { activate_stretch<4, how>(y, count); }
  static void undo(const LinearBackward& in, int64_t first, int64_t count) { undo_stripe<4, how>(in, first, count); }
};
#if defined(__x86_64__)
template <Nonlinearity how>
struct Avx2 {
  [[gnu::target("avx2,fma")]] static void activate(float* y, int64_t count) { activate_stretch<8, how>(y, count); }
  [[gnu::target("avx2,fma")]] static void undo(const LinearBackward& in, int64_t first, int64_t count) {
    undo_stripe<8, how>(in, first, count);
  }
};
template <Nonlinearity how>
struct Avx512 {
  [[gnu::target("avx512f")]] static void activate(float* y, int64_t count) { activate_stretch<16, how>(y, count); }
  [[gnu::target("avx512f")]] static void undo(const LinearBackward& in, int64_t first, int64_t count) {
    undo_stripe<16, how>(in, first, count);
  }
};
#endif

template <Nonlinearity how>
Functions functions_for() {
#if defined(__x86_64__)
  if (instructions_in_use() == Instructions::avx512) return {Avx512<how>::activate, Avx512<how>::undo};
  if (instructions_in_use() == Instructions::avx2) return {Avx2<how>::activate, Avx2<how>::undo};
#endif
  return {Portable<how>::activate, Portable<how>::undo};
}

Functions functions_of(Nonlinearity how) {
  switch (how) {
    case Nonlinearity::relu:
      return functions_for<Nonlinearity::relu>();
    case Nonlinearity::tanh:
      return functions_for<Nonlinearity::tanh>();
    case Nonlinearity::none:
      break;
  }
  return functions_for<Nonlinearity::none>();
}

}  // namespace

void apply_nonlinearity(Nonlinearity how, float* y, int64_t count) {
  if (how == Nonlinearity::none) return;
  const auto activate = functions_of(how).activate;
#pragma omp parallel for schedule(static) if (count > kSerialElements)
  for (int64_t begin = 0; begin < count; begin += kStretch) activate(y + begin, std::min(kStretch, count - begin));
}

void undo_nonlinearity(Nonlinearity how, const LinearBackward& in) {
  if (how == Nonlinearity::none && !in.bias) return;
  const auto undo = functions_of(how).undo;
#pragma omp parallel for schedule(static) if (in.rows * in.columns > kSerialElements)
  for (int64_t first = 0; first < in.columns; first += kStripe) undo(in, first, std::min(kStripe, in.columns - first));
}

}  // namespace elbo::detail
