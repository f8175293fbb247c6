#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>

// Vectors of W floats by the compiler's types (see lanes.h), and panels made from them.
namespace elbo::detail {

template <int W>
struct VectorTypes;
template <>
struct VectorTypes<4> {
  using Float = float __attribute__((vector_size(16)));
  using Int = int32_t __attribute__((vector_size(16)));
};
template <>
struct VectorTypes<8> {
  using Float = float __attribute__((vector_size(32)));
  using Int = int32_t __attribute__((vector_size(32)));
};
template <>
struct VectorTypes<16> {
  using Float = float __attribute__((vector_size(64)));
  using Int = int32_t __attribute__((vector_size(64)));
};
template <int W>
using FloatVector = typename VectorTypes<W>::Float;
template <int W>
using IntVector = typename VectorTypes<W>::Int;

/// Swaps the off-diagonal blocks of extent `Step` in the rows' square matrix: log2(W) of these transpose it.
template <int W, int Step>
[[gnu::always_inline]] inline void swap_blocks(FloatVector<W>* rows) {
  IntVector<W> low{}, high{};
  for (int i = 0; i < W; ++i) {
    low[i] = (i & Step) ? W + i - Step : i;
    high[i] = (i & Step) ? W + i : i + Step;
  }
#pragma GCC unroll 16
  for (int i = 0; i < W; ++i) {
    if (i & Step) continue;
    const FloatVector<W> a = rows[i], b = rows[i + Step];
    rows[i] = __builtin_shuffle(a, b, low);
    rows[i + Step] = __builtin_shuffle(a, b, high);
  }
}

template <int W>
[[gnu::always_inline]] inline void transpose_square(FloatVector<W>* rows) {
  if constexpr (W >= 16) swap_blocks<W, 8>(rows);
  if constexpr (W >= 8) swap_blocks<W, 4>(rows);
  swap_blocks<W, 2>(rows);
  swap_blocks<W, 1>(rows);
}

/// Moves `count` floats, fewer than 2 Most, without a call.
template <int Most>
[[gnu::always_inline]] inline void move_part(float* to, const float* from, int64_t count) {
#pragma GCC unroll 6
  for (int64_t part = Most; part > 0; part /= 2) {
    if (!(count & part)) continue;
    for (int64_t i = 0; i < part; ++i) to[i] = from[i];
    to += part;
    from += part;
  }
}

/// Where a panel's elements come from: element p of step k is at data[p * stride + k * step].
struct PanelSource {
  const float* data = nullptr;
  int64_t stride = 0;
  int64_t step = 0;
};

/// P elements for each of `steps` steps, one step after the other; elements from `count` on are zero.
template <int W, int P>
[[gnu::always_inline]] inline void pack_panel(const PanelSource& from, int64_t count, int64_t steps, float* to) {
  if (from.stride == 1 && count == P) {
    for (int64_t k = 0; k < steps; ++k) std::memcpy(to + k * P, from.data + k * from.step, P * sizeof(float));
    return;
  }
  if (from.stride == 1) {
    std::memset(to, 0, static_cast<size_t>(steps) * P * sizeof(float));
    for (int64_t k = 0; k < steps; ++k) move_part<16>(to + k * P, from.data + k * from.step, count);
    return;
  }
  if (from.step == 1 && steps >= W) {
    for (int64_t first = 0; first < P; first += W) {  // W elements at a time, the last lot perhaps fewer
      constexpr int kLast = P % W == 0 ? W : P % W;
      const bool whole = first + W <= P;
      for (int64_t at = 0; at < steps; at += W) {
        const int64_t k = std::min(at, steps - W);  // the last square overlaps the one before it
        FloatVector<W> rows[W];
#pragma GCC unroll 16
        for (int i = 0; i < W; ++i) {
          rows[i] = FloatVector<W>{};
          if (first + i < count) std::memcpy(&rows[i], from.data + (first + i) * from.stride + k, sizeof(rows[i]));
        }
        transpose_square<W>(rows);
#pragma GCC unroll 16
        for (int i = 0; i < W; ++i) {
          float* place = to + (k + i) * P + first;
          if (whole) {
            std::memcpy(place, &rows[i], sizeof(rows[i]));
          } else {
            std::memcpy(place, &rows[i], kLast * sizeof(float));
          }
        }
      }
    }
    return;
  }
  for (int64_t k = 0; k < steps; ++k) {
    for (int64_t p = 0; p < P; ++p) to[k * P + p] = p < count ? from.data[p * from.stride + k * from.step] : 0.f;
  }
}

}  // namespace elbo::detail
