// No torch header here: this file is compiled with OpenMP, with which LibTorch's precompiled header would not match.
#include <utility>

#include "elbo/ops/gemm.h"
#include "elbo/ops/instructions.h"
#include "packing.h"
#include "scratch.h"

namespace elbo {
namespace {

using detail::FloatVector;

constexpr int64_t kBlockK = 512;      // a panel's steps: a panel of A stays in the first cache, one of B in the second
constexpr int64_t kBlockN = 2048;     // columns packed at once
constexpr int64_t kBlockM = 1536;     // rows packed at once
constexpr int64_t kTaskPanels = 4;    // panels of A a task multiplies with one of B, at most
constexpr int64_t kTasks = 16;        // fewer would leave a thread idle at the end
constexpr double kSerialBelow = 4e5;  // multiplications; less isn't worth waking threads

// ---- a tile of C in registers ----

/// What becomes of a tile's sums.
struct TileTarget {
  float* c = nullptr;
  int64_t stride = 0;
  int64_t columns = 0;          // those inside C
  const float* bias = nullptr;  // of the tile's first column
  bool add = false;             // to what C holds
};

/// R rows of V vectors: sums over `steps` of a[r] b[v].
template <int W, int V, int R, int MR, int NR>
[[gnu::always_inline]] inline void tile(int64_t steps, const float* a, const float* b, const TileTarget& target) {
  using Vector = FloatVector<W>;
  Vector sum[R][V];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) sum[r][v] = Vector{};
  }
  for (int64_t k = 0; k < steps; ++k) {
    Vector column[V];
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) std::memcpy(&column[v], b + v * W, sizeof(Vector));
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) sum[r][v] += a[r] * column[v];
    }
    a += MR;
    b += NR;
  }
  const bool whole = target.columns >= V * W;
  Vector bias[V] = {};
  if (target.bias) {
    float part[V * W] = {};
    if (whole) {
      std::memcpy(part, target.bias, sizeof(part));
    } else {
      detail::move_part<V * W / 2>(part, target.bias, target.columns);
    }
    std::memcpy(bias, part, sizeof(part));
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
    float* row = target.c + r * target.stride;
    Vector out[V];
    if (whole) {
      if (target.add) {
        std::memcpy(out, row, sizeof(out));
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) sum[r][v] += out[v];
      }
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) out[v] = sum[r][v] + bias[v];
      std::memcpy(row, out, sizeof(out));
    } else {
      float part[V * W] = {};
      if (target.add) detail::move_part<V * W / 2>(part, row, target.columns);
      std::memcpy(out, part, sizeof(out));
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) out[v] = (out[v] + sum[r][v]) + bias[v];
      std::memcpy(part, out, sizeof(out));
      detail::move_part<V * W / 2>(row, part, target.columns);
    }
  }
}

using TileFunction = void (*)(int64_t steps, const float* a, const float* b, const TileTarget& target);
using PackFunction = void (*)(const detail::PanelSource& from, int64_t count, int64_t steps, float* to);

constexpr int kMostRows = 12;

/// One instruction set's kernels.
struct Kernels {
  int64_t rows = 0;                       // of a tile
  int64_t width = 0;                      // of a vector; a tile has two
  TileFunction tiles[2][kMostRows] = {};  // [vectors - 1][rows - 1]
  PackFunction pack_a = nullptr;          // into panels of `rows`
  PackFunction pack_b = nullptr;          // into panels of two vectors
};

template <int V, int R>
void tile_portable(int64_t steps, const float* a, const float* b, const TileTarget& target) {
  tile<4, V, R, 4, 8>(steps, a, b, target);
}
template <int P>
void pack_portable(const detail::PanelSource& from, int64_t count, int64_t steps, float* to) {
  detail::pack_panel<4, P>(from, count, steps, to);
}
template <int... R>
constexpr Kernels portable_kernels(std::integer_sequence<int, R...>) {
  return {sizeof...(R), 4, {{tile_portable<1, R + 1>...}, {tile_portable<2, R + 1>...}}, pack_portable<4>, pack_portable<8>};
}
constexpr Kernels kPortable = portable_kernels(std::make_integer_sequence<int, 4>());

#if defined(__x86_64__)
template <int V, int R>
[[gnu::target("avx2,fma")]] void tile_avx2(int64_t steps, const float* a, const float* b, const TileTarget& target) {
  tile<8, V, R, 6, 16>(steps, a, b, target);
}
template <int P>
[[gnu::target("avx2,fma")]] void pack_avx2(const detail::PanelSource& from, int64_t count, int64_t steps, float* to) {
  detail::pack_panel<8, P>(from, count, steps, to);
}
template <int... R>
constexpr Kernels avx2_kernels(std::integer_sequence<int, R...>) {
  return {sizeof...(R), 8, {{tile_avx2<1, R + 1>...}, {tile_avx2<2, R + 1>...}}, pack_avx2<6>, pack_avx2<16>};
}
constexpr Kernels kAvx2 = avx2_kernels(std::make_integer_sequence<int, 6>());

template <int V, int R>
[[gnu::target("avx512f")]] void tile_avx512(int64_t steps, const float* a, const float* b, const TileTarget& target) {
  tile<16, V, R, 12, 32>(steps, a, b, target);
}
template <int P>
[[gnu::target("avx512f")]] void pack_avx512(const detail::PanelSource& from, int64_t count, int64_t steps, float* to) {
  detail::pack_panel<16, P>(from, count, steps, to);
}
template <int... R>
constexpr Kernels avx512_kernels(std::integer_sequence<int, R...>) {
  return {sizeof...(R), 16, {{tile_avx512<1, R + 1>...}, {tile_avx512<2, R + 1>...}}, pack_avx512<12>, pack_avx512<32>};
}
constexpr Kernels kAvx512 = avx512_kernels(std::make_integer_sequence<int, 12>());
#endif

const Kernels& kernels_in_use() {
#if defined(__x86_64__)
  if (instructions_in_use() == Instructions::avx512) return kAvx512;
  if (instructions_in_use() == Instructions::avx2) return kAvx2;
#endif
  return kPortable;
}

// ---- the whole product ----

int64_t groups_of(int64_t count, int64_t size) { return (count + size - 1) / size; }

/// A block's extent, at most `most`, so that all blocks of `total` are about alike.
int64_t even_block(int64_t total, int64_t most, int64_t unit) {
  const int64_t blocks = std::max<int64_t>(1, groups_of(total, most));
  return groups_of(groups_of(total, blocks), unit) * unit;
}

/// What is multiplied at once: rows m to m + M, columns n to n + N, steps k to k + K.
struct Block {
  int64_t m = 0, n = 0, k = 0;
  int64_t M = 0, N = 0, K = 0;
};

/// Rows `first` to `last` (panels) of the block's A times panel `panel` of its B.
void multiply(const Gemm& product, const Kernels& kernels, const Block& block, const float* a, const float* b, int64_t first,
              int64_t last, int64_t panel) {
  const int64_t columns = 2 * kernels.width, n = panel * columns;
  TileTarget target{.stride = product.c_row_stride,
                    .columns = std::min(columns, block.N - n),
                    .add = product.into == GemmInto::add || block.k > 0};
  if (product.bias && block.k + block.K == product.K) target.bias = product.bias + block.n + n;
  const auto& tiles = kernels.tiles[target.columns > kernels.width];
  for (int64_t i = first; i < last; ++i) {
    const int64_t m = i * kernels.rows, rows = std::min(kernels.rows, block.M - m);
    target.c = product.c + (block.m + m) * product.c_row_stride + block.n + n;
    tiles[rows - 1](block.K, a + m * block.K, b + n * block.K, target);
  }
}

/// K = 0: nothing but the bias.
void without_steps(const Gemm& product) {
  for (int64_t m = 0; m < product.M; ++m) {
    float* row = product.c + m * product.c_row_stride;
    if (product.into == GemmInto::replace) std::fill_n(row, product.N, 0.f);
    for (int64_t n = 0; product.bias && n < product.N; ++n) row[n] += product.bias[n];
  }
}

}  // namespace

void gemm(const Gemm& product) {
  if (product.M == 0 || product.N == 0) return;
  if (product.K == 0) return without_steps(product);
  const auto& kernels = kernels_in_use();
  const int64_t columns = 2 * kernels.width, rows = kernels.rows;
  const int64_t block_k = even_block(product.K, kBlockK, 1), block_n = even_block(product.N, kBlockN, columns),
                block_m = even_block(product.M, kBlockM, rows);
  static thread_local detail::Scratch scratch;
  float* const a = scratch.floats((block_m + block_n) * block_k);
  float* const b = a + block_m * block_k;
  const bool serial =
      static_cast<double>(product.M) * static_cast<double>(product.N) * static_cast<double>(product.K) < kSerialBelow;

#pragma omp parallel if (!serial)
  for (int64_t n = 0; n < product.N; n += block_n) {
    for (int64_t k = 0; k < product.K; k += block_k) {
      Block block{.n = n, .k = k, .N = std::min(block_n, product.N - n), .K = std::min(block_k, product.K - k)};
      const int64_t panels = groups_of(block.N, columns);
#pragma omp for schedule(static) nowait
      for (int64_t j = 0; j < panels; ++j) {
        const auto* from = product.b.data + k * product.b.row_stride + (n + j * columns) * product.b.column_stride;
        kernels.pack_b({from, product.b.column_stride, product.b.row_stride}, std::min(columns, block.N - j * columns), block.K,
                       b + j * columns * block.K);
      }
      for (int64_t m = 0; m < product.M; m += block_m) {
        block.m = m;
        block.M = std::min(block_m, product.M - m);
        const int64_t row_panels = groups_of(block.M, rows),
                      size = std::clamp<int64_t>(row_panels * panels / kTasks, 1, kTaskPanels),
                      groups = groups_of(row_panels, size);
#pragma omp for schedule(static)
        for (int64_t i = 0; i < row_panels; ++i) {
          const auto* from = product.a.data + (m + i * rows) * product.a.row_stride + k * product.a.column_stride;
          kernels.pack_a({from, product.a.row_stride, product.a.column_stride}, std::min(rows, block.M - i * rows), block.K,
                         a + i * rows * block.K);
        }
#pragma omp for schedule(dynamic)
        for (int64_t task = 0; task < groups * panels; ++task) {
          const int64_t first = task % groups * size;
          multiply(product, kernels, block, a, b, first, std::min(first + size, row_panels), task / groups);
        }
      }
    }
  }
}

}  // namespace elbo
