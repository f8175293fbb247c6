// No torch header here: this file is compiled with OpenMP, with which LibTorch's precompiled header would not match.
#include "nearest_code_cpu.h"

#include <omp.h>

#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "elbo/ops/instructions.h"
#include "packing.h"
#include "scratch.h"

// Tiles as in gemm_cpu.cpp, except that a tile's scores |e|^2 / 2 - z e never leave the registers: each row has W running minima,
// one a lane, which see the codes in rising order. z and e are taken about the codes' mean: far from the origin the products
// would cancel.
namespace elbo::detail {
namespace {

constexpr int64_t kBlockBytes = 96 << 10;  // packed rows and their minima, to stay in the second cache
constexpr int64_t kTasksAThread = 4;
constexpr float kNever = std::numeric_limits<float>::infinity();

/// The running minima of a tile's rows, W of each after one another.
struct Minima {
  float* score = nullptr;
  int32_t* code = nullptr;  // less its lane
};

/// R rows against 2 W codes, the first of which is `code`.
template <int W, int R, int MR>
[[gnu::always_inline]] inline void score_tile(int64_t D, const float* rows, const float* panel, const float* half_squares,
                                              int32_t code, const Minima& minima) {
  using Vector = FloatVector<W>;
  using Index = IntVector<W>;
  Vector low[R], high[R], first, second;
  std::memcpy(&first, half_squares, sizeof(first));
  std::memcpy(&second, half_squares + W, sizeof(second));
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
    low[r] = first;
    high[r] = second;
  }
  for (int64_t d = 0; d < D; ++d) {
    std::memcpy(&first, panel, sizeof(first));
    std::memcpy(&second, panel + W, sizeof(second));
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      low[r] += rows[r] * first;
      high[r] += rows[r] * second;
    }
    rows += MR;
    panel += 2 * W;
  }
  const Index low_code = Index{} + code, high_code = low_code + W;
  float* const scores = minima.score;
  int32_t* const codes = minima.code;
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
    Vector best;
    Index best_code;
    std::memcpy(&best, scores + r * W, sizeof(best));
    std::memcpy(&best_code, codes + r * W, sizeof(best_code));
    const auto is_high = high[r] < low[r];  // of equals the lower
    const Vector least = is_high ? high[r] : low[r];
    const Index least_code = is_high ? high_code : low_code;
    const auto is_better = least < best;
    best = is_better ? least : best;
    best_code = is_better ? least_code : best_code;
    std::memcpy(scores + r * W, &best, sizeof(best));
    std::memcpy(codes + r * W, &best_code, sizeof(best_code));
  }
}

/// A panel of 2 W codes about the centre, and half their squares; what isn't finite, and what lies beyond V, is never nearest.
template <int W>
[[gnu::always_inline]] inline void pack_codes(const CodeSearch& search, const float* centre, int64_t begin, float* panel,
                                              float* half_squares) {
  constexpr int64_t P = 2 * W;
  const int64_t count = std::min(P, search.V - begin), D = search.D;
  pack_panel<W, P>({search.codes + begin * D, D, 1}, count, D, panel);
  FloatVector<W> sums[2] = {};
  for (int64_t d = 0; d < D; ++d) {
    FloatVector<W> codes[2];
    std::memcpy(codes, panel + d * P, sizeof(codes));
    for (int v = 0; v < 2; ++v) {
      codes[v] -= centre[d];
      sums[v] += codes[v] * codes[v];
    }
    std::memcpy(panel + d * P, codes, sizeof(codes));
  }
  std::memcpy(half_squares, sums, sizeof(sums));
  for (int64_t p = 0; p < P; ++p) {
    half_squares[p] *= 0.5f;
    if (p < count && half_squares[p] < kNever) continue;
    half_squares[p] = kNever;
    for (int64_t d = 0; d < D; ++d) panel[d * P + p] = 0;
  }
}

/// A panel of rows about the centre with the sign that makes a tile's sums scores.
template <int W, int P>
[[gnu::always_inline]] inline void pack_rows(const CodeSearch& search, const float* centre, int64_t begin, int64_t count,
                                             float* panel) {
  pack_panel<W, P>({search.z + begin * search.D, search.D, 1}, count, search.D, panel);
  for (int64_t d = 0; d < search.D; ++d) {
    for (int64_t p = 0; p < P; ++p) panel[d * P + p] = centre[d] - panel[d * P + p];
  }
}

/// The lane with the least score, of equals that with the lowest code; 0 where no score was finite.
inline int64_t least_of(const Minima& minima, int64_t lanes) {
  float best = kNever;
  int64_t code = 0;
  for (int64_t lane = 0; lane < lanes; ++lane) {
    const int64_t here = minima.code[lane] + lane;
    if (minima.score[lane] > best || !(minima.score[lane] < kNever) || (minima.score[lane] == best && here > code)) continue;
    best = minima.score[lane];
    code = here;
  }
  return code;
}

template <int W>
[[gnu::always_inline]] inline float squared_distance(const float* z, const float* code, int64_t D) {
  FloatVector<W> sum{}, a, b;
  int64_t d = 0;
  for (; d + W <= D; d += W) {
    std::memcpy(&a, z + d, sizeof(a));
    std::memcpy(&b, code + d, sizeof(b));
    a -= b;
    sum += a * a;
  }
  float total = 0;
  for (int lane = 0; lane < W; ++lane) total += sum[lane];
  for (; d < D; ++d) total += (z[d] - code[d]) * (z[d] - code[d]);
  return total;
}

// ---- compiled for each instruction set ----

using ScoreTile = void (*)(int64_t D, const float* rows, const float* panel, const float* half_squares, int32_t code,
                           const Minima& minima);
constexpr int kMostRows = 12;

struct SearchKernels {
  int64_t rows = 0;   // of a tile
  int64_t width = 0;  // of a vector; a tile has two
  ScoreTile tiles[kMostRows] = {};
  void (*pack_codes)(const CodeSearch&, const float* centre, int64_t begin, float* panel, float* half_squares) = nullptr;
  void (*pack_rows)(const CodeSearch&, const float* centre, int64_t begin, int64_t count, float* panel) = nullptr;
  float (*squared_distance)(const float* z, const float* code, int64_t D) = nullptr;
};

struct PortableSearch {
  template <int R>
  static void score(int64_t D, const float* rows, const float* panel, const float* half_squares, int32_t code,
                    const Minima& minima) {
    score_tile<4, R, 4>(D, rows, panel, half_squares, code, minima);
  }
  static void codes(const CodeSearch& search, const float* centre, int64_t begin, float* panel, float* half_squares) {
    pack_codes<4>(search, centre, begin, panel, half_squares);
  }
  static void rows(const CodeSearch& search, const float* centre, int64_t begin, int64_t count, float* panel) {
    pack_rows<4, 4>(search, centre, begin, count, panel);
  }
  static float distance(const float* z, const float* code, int64_t D) { return squared_distance<4>(z, code, D); }
};
#if defined(__x86_64__)
struct Avx2Search {
  template <int R>
  [[gnu::target("avx2,fma")]] static void score(int64_t D, const float* rows, const float* panel, const float* half_squares,
                                                int32_t code, const Minima& minima) {
    score_tile<8, R, 6>(D, rows, panel, half_squares, code, minima);
  }
  [[gnu::target("avx2,fma")]] static void codes(const CodeSearch& search, const float* centre, int64_t begin, float* panel,
                                                float* half_squares) {
    pack_codes<8>(search, centre, begin, panel, half_squares);
  }
  [[gnu::target("avx2,fma")]] static void rows(const CodeSearch& search, const float* centre, int64_t begin, int64_t count,
                                               float* panel) {
    pack_rows<8, 6>(search, centre, begin, count, panel);
  }
  [[gnu::target("avx2,fma")]] static float distance(const float* z, const float* code, int64_t D) {
    return squared_distance<8>(z, code, D);
  }
};
struct Avx512Search {
  template <int R>
  [[gnu::target("avx512f")]] static void score(int64_t D, const float* rows, const float* panel, const float* half_squares,
                                               int32_t code, const Minima& minima) {
    score_tile<16, R, 12>(D, rows, panel, half_squares, code, minima);
  }
  [[gnu::target("avx512f")]] static void codes(const CodeSearch& search, const float* centre, int64_t begin, float* panel,
                                               float* half_squares) {
    pack_codes<16>(search, centre, begin, panel, half_squares);
  }
  [[gnu::target("avx512f")]] static void rows(const CodeSearch& search, const float* centre, int64_t begin, int64_t count,
                                              float* panel) {
    pack_rows<16, 12>(search, centre, begin, count, panel);
  }
  [[gnu::target("avx512f")]] static float distance(const float* z, const float* code, int64_t D) {
    return squared_distance<16>(z, code, D);
  }
};
#endif

template <class Set, int... R>
constexpr SearchKernels search_kernels(int64_t width, std::integer_sequence<int, R...>) {
  return {sizeof...(R), width, {Set::template score<R + 1>...}, Set::codes, Set::rows, Set::distance};
}

SearchKernels search_kernels_in_use() {
#if defined(__x86_64__)
  if (instructions_in_use() == Instructions::avx512)
    return search_kernels<Avx512Search>(16, std::make_integer_sequence<int, 12>());
  if (instructions_in_use() == Instructions::avx2) return search_kernels<Avx2Search>(8, std::make_integer_sequence<int, 6>());
#endif
  return search_kernels<PortableSearch>(4, std::make_integer_sequence<int, 4>());
}

// ---- the whole search ----

int64_t rounded_up(int64_t count, int64_t unit) { return (count + unit - 1) / unit * unit; }

/// The mean of the codes that are finite.
std::vector<float> centre_of(const CodeSearch& search) {
  const auto D = static_cast<size_t>(search.D);
  std::vector<double> sum(D, 0.0);
  double count = 0;
  for (int64_t v = 0; v < search.V; ++v) {
    const float* code = search.codes + v * search.D;
    float zero = 0;
    for (size_t d = 0; d < D; ++d) zero += code[d] * 0.f;
    if (!(zero == 0)) continue;
    ++count;
    for (size_t d = 0; d < D; ++d) sum[d] += static_cast<double>(code[d]);
  }
  std::vector<float> centre(D);
  for (size_t d = 0; d < D; ++d) centre[d] = static_cast<float>(sum[d] / std::max(count, 1.0));
  return centre;
}

/// The codes in panels, and half their squares.
struct PackedCodes {
  const float* panels = nullptr;
  const float* half_squares = nullptr;
};

/// Rows `begin` to `begin` + `count` against all codes.
void search_rows(const CodeSearch& search, const SearchKernels& kernels, const float* centre, const PackedCodes& codes,
                 int64_t begin, int64_t count) {
  static thread_local Scratch scratch;
  const int64_t W = kernels.width, D = search.D, rows = rounded_up(count, kernels.rows);
  float* const packed = scratch.floats(rows * (D + 2 * W));
  float* const scores = packed + rows * D;
  auto* const found = reinterpret_cast<int32_t*>(scores + rows * W);
  std::fill_n(scores, rows * W, kNever);
  std::memset(found, 0, static_cast<size_t>(rows * W) * sizeof(int32_t));
  for (int64_t r = 0; r < count; r += kernels.rows) {
    kernels.pack_rows(search, centre, begin + r, std::min(kernels.rows, count - r), packed + r * D);
  }
  for (int64_t v = 0; v < search.V; v += 2 * W) {
    for (int64_t r = 0; r < count; r += kernels.rows) {
      kernels.tiles[std::min(kernels.rows, count - r) - 1](D, packed + r * D, codes.panels + v * D, codes.half_squares + v,
                                                           static_cast<int32_t>(v), {scores + r * W, found + r * W});
    }
  }
  for (int64_t r = 0; r < count; ++r) {
    const int64_t code = least_of({scores + r * W, found + r * W}, W), row = begin + r;
    search.index[row] = code;
    search.distance[row] = kernels.squared_distance(search.z + row * D, search.codes + code * D, D);
  }
}

}  // namespace

void search_nearest_code(const CodeSearch& search) {
  if (search.N == 0) return;
  const auto kernels = search_kernels_in_use();
  const int64_t P = 2 * kernels.width, V = rounded_up(search.V, P), D = search.D;
  const auto centre = centre_of(search);
  Scratch memory;
  float* const panels = memory.floats(V * (D + 1));
  float* const half_squares = panels + V * D;

  const int64_t of_cache = kBlockBytes / ((D + P) * static_cast<int64_t>(sizeof(float)));
  const int64_t of_threads =
      rounded_up(search.N, kTasksAThread * omp_get_max_threads()) / (kTasksAThread * omp_get_max_threads());
  const int64_t block = rounded_up(std::max<int64_t>(1, std::min(of_cache, of_threads)), kernels.rows);
#pragma omp parallel
  {
#pragma omp for schedule(static)
    for (int64_t v = 0; v < V; v += P) kernels.pack_codes(search, centre.data(), v, panels + v * D, half_squares + v);
#pragma omp for schedule(dynamic)
    for (int64_t begin = 0; begin < search.N; begin += block) {
      search_rows(search, kernels, centre.data(), {panels, half_squares}, begin, std::min(block, search.N - begin));
    }
  }
}

}  // namespace elbo::detail
