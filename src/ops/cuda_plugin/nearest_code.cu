#include "launch.h"

// A matrix product whose results are never written: blocks of 128 rows x 128 codes in registers, 8 x 8 a thread, the operands in
// shared memory kDepth elements of the rows at a time, the next ones on their way meanwhile. A block goes through its share of
// the codes; shares meet in one 64-bit number a row, score above index, of which the least is kept: whatever the order, the same,
// and of equal scores the lowest index.
namespace elbo::cuda_plugin {
namespace nearest_code_kernels {
namespace {

constexpr int kThreads = 256;
constexpr int kTile = 128;   // rows and codes of a block
constexpr int kDepth = 8;    // elements of the rows at a time
constexpr int kPitch = 132;  // of a shared row: written by columns without bank conflicts, read 16 bytes at a time
constexpr int kPart = 4;     // neighbouring rows (codes) of a thread; its other four are half a tile further
constexpr int kAcross = 16;  // threads along the codes, half a warp
constexpr uint64_t kNothing = ~uint64_t{0};

struct alignas(16) Four {
  float of[4];
};

/// Ascending with the score; NaN like infinity, so that any number is better.
__device__ uint64_t packed(float score, int64_t index) {
  union {
    float number;
    uint32_t bits;
  } as;
  as.number = score == score ? score + 0.f : __builtin_huge_valf();  // + 0 makes -0 a 0
  const uint32_t ascending = as.bits & 0x80000000u ? ~as.bits : as.bits | 0x80000000u;
  return uint64_t{ascending} << 32 | static_cast<uint64_t>(index);
}

/// Four elements of a row from `at`; zero beyond the row's end and where there is no row.
template <bool kWhole>
__device__ Four load_four(const float* row, int at, int size) {
  Four four = {};
  if (row == nullptr) return four;
  if constexpr (kWhole) {
    if (at < size) four = *reinterpret_cast<const Four*>(row + at);
  } else {
    for (int k = 0; k < 4; ++k) four.of[k] = at + k < size ? row[at + k] : 0.f;
  }
  return four;
}

__global__ void start_kernel(uint64_t* best, int64_t rows) {
  const int64_t row = blockIdx.x * int64_t{kThreads} + threadIdx.x;
  if (row < rows) best[row] = kNothing;
}

/// kWhole: the rows' size is a multiple of four and they are aligned, so that they are read 16 bytes at a time.
template <bool kWhole>
__global__ void __launch_bounds__(kThreads, 2) search_kernel(const float* z, const float* codes, const float* half_squares,
                                                             int64_t rows, int num_codes, int size, int share, uint64_t* best) {
  alignas(16) __shared__ float shared_z[2][kDepth][kPitch];
  alignas(16) __shared__ float shared_codes[2][kDepth][kPitch];
  alignas(16) __shared__ float shared_squares[kTile];
  const int x = threadIdx.x % kAcross, y = threadIdx.x / kAcross;
  const int load_row = threadIdx.x / 2, load_at = threadIdx.x % 2 * 4;  // two threads bring a row's kDepth elements
  const int64_t first_row = blockIdx.x * int64_t{kTile};
  const float* const z_row = first_row + load_row < rows ? z + (first_row + load_row) * size : nullptr;
  const int first_code = static_cast<int>(blockIdx.y) * share;
  const int end_code = share < num_codes - first_code ? first_code + share : num_codes;

  float best_score[8];
  int best_index[8];
  for (int i = 0; i < 8; ++i) best_score[i] = __builtin_huge_valf(), best_index[i] = 0;

  for (int tile = first_code; tile < end_code; tile += kTile) {
    const float* const code_row = tile + load_row < num_codes ? codes + int64_t{tile + load_row} * size : nullptr;
    if (load_at == 0) shared_squares[load_row] = code_row ? half_squares[tile + load_row] : __builtin_huge_valf();
    float product[8][8] = {};
    Four next_z = load_four<kWhole>(z_row, load_at, size);
    Four next_codes = load_four<kWhole>(code_row, load_at, size);
    int buffer = 0;
    for (int at = 0; at < size; at += kDepth) {
      for (int k = 0; k < 4; ++k) {
        shared_z[buffer][load_at + k][load_row] = next_z.of[k];
        shared_codes[buffer][load_at + k][load_row] = next_codes.of[k];
      }
      __syncthreads();  // the other buffer is read no more by then: whoever is here has left it
      if (at + kDepth < size) {
        next_z = load_four<kWhole>(z_row, at + kDepth + load_at, size);
        next_codes = load_four<kWhole>(code_row, at + kDepth + load_at, size);
      }
      const auto accumulate = [&](int k) {
        Four a[2], b[2];
        a[0] = *reinterpret_cast<const Four*>(&shared_z[buffer][k][y * kPart]);
        a[1] = *reinterpret_cast<const Four*>(&shared_z[buffer][k][y * kPart + kTile / 2]);
        b[0] = *reinterpret_cast<const Four*>(&shared_codes[buffer][k][x * kPart]);
        b[1] = *reinterpret_cast<const Four*>(&shared_codes[buffer][k][x * kPart + kTile / 2]);
        for (int i = 0; i < 8; ++i) {
          for (int j = 0; j < 8; ++j) product[i][j] += a[i / 4].of[i % 4] * b[j / 4].of[j % 4];
        }
      };
      for (int k = 0; k < kDepth; k += 2) {  // four at once spill registers
        accumulate(k);
        accumulate(k + 1);
      }
      buffer = 1 - buffer;
    }
    for (int j = 0; j < 8; ++j) {
      const int place = x * kPart + j / 4 * (kTile / 2) + j % 4;
      const float half_square = shared_squares[place];  // infinity beyond the last code
      for (int i = 0; i < 8; ++i) {
        const float score = half_square - product[i][j];
        if (score < best_score[i]) best_score[i] = score, best_index[i] = tile + place;
      }
    }
    __syncthreads();  // before the next tile is written over what slow threads still read
  }
  for (int i = 0; i < 8; ++i) {
    unsigned long long key = packed(best_score[i], best_index[i]);
    for (int offset = kAcross / 2; offset > 0; offset /= 2) {
      const unsigned long long other = __shfl_xor_sync(0xffffffffu, key, offset);
      if (other < key) key = other;
    }
    const int64_t row = first_row + y * kPart + i / 4 * (kTile / 2) + i % 4;
    if (x == 0 && row < rows) atomicMin(reinterpret_cast<unsigned long long*>(best + row), key);
  }
}

/// The index and the distance from the differences, a warp a row.
__global__ void finish_kernel(const uint64_t* best, const float* z, const float* codes, int64_t rows, int64_t size,
                              int64_t* index, float* distance) {
  constexpr int64_t kRows = kThreads / kWarp;
  const int64_t lane = threadIdx.x % kWarp;
  for (int64_t row = blockIdx.x * kRows + threadIdx.x / kWarp; row < rows; row += gridDim.x * kRows) {
    const auto code = static_cast<int64_t>(best[row] & 0xffffffffu);
    float sum = 0;
    for (int64_t d = lane; d < size; d += kWarp) {
      const float difference = z[row * size + d] - codes[code * size + d];
      sum += difference * difference;
    }
    sum = warp_sum(sum);
    if (lane == 0) index[row] = code, distance[row] = sum;
  }
}

bool is_aligned(const float* rows) { return reinterpret_cast<uintptr_t>(rows) % sizeof(Four) == 0; }

void search(const CodeSearch& in, int multiprocessors, StreamHandle stream) {
  const int64_t row_tiles = (in.rows + kTile - 1) / kTile, code_tiles = (in.num_codes + kTile - 1) / kTile;
  constexpr int64_t kBlocksAtOnce = 2;  // of a multiprocessor
  const int64_t shares_wanted = std::min(code_tiles, (kBlocksAtOnce * multiprocessors + row_tiles - 1) / row_tiles);
  const int64_t tiles_a_share = (code_tiles + shares_wanted - 1) / shares_wanted;
  const int64_t shares = (code_tiles + tiles_a_share - 1) / tiles_a_share;
  const bool whole = in.size % 4 == 0 && is_aligned(in.centred_z) && is_aligned(in.centred_codes);

  launch(start_kernel, static_cast<unsigned>((in.rows + kThreads - 1) / kThreads), kThreads, stream, in.best, in.rows);
  launch(whole ? search_kernel<true> : search_kernel<false>,
         dim3(static_cast<unsigned>(row_tiles), static_cast<unsigned>(shares)), kThreads, stream, in.centred_z, in.centred_codes,
         in.half_squares, in.rows, in.num_codes, in.size, tiles_a_share * kTile, in.best);
  launch(finish_kernel, blocks_for(in.rows, kThreads / kWarp), kThreads, stream, in.best, in.z, in.codes, in.rows, in.size,
         in.index, in.distance);
}

}  // namespace
}  // namespace nearest_code_kernels

void launch_nearest_code(const CodeSearch& in, int multiprocessors, StreamHandle stream) {
  nearest_code_kernels::search(in, multiprocessors, stream);
}

}  // namespace elbo::cuda_plugin
