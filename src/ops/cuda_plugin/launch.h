#pragma once
#include <algorithm>
#include <cstdint>

#include "kernels.h"

// What the kernels share. Where their logic is tested on the CPU, tests/ops/cuda_on_host.h, included
// before, stands in for CUDA.
#if defined(__CUDACC__)
#include <cuda_runtime.h>

namespace elbo::cuda_plugin {
/// kernel<<<blocks, threads, 0, stream>>>(arguments...).
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 blocks, dim3 threads, StreamHandle stream, Arguments... arguments) {
  kernel<<<blocks, threads, 0, stream>>>(static_cast<Parameters>(arguments)...);
}
}  // namespace elbo::cuda_plugin
#endif

namespace elbo::cuda_plugin {

constexpr int kWarp = 32;
constexpr int64_t kMaxBlocks = int64_t{1} << 20;  // kernels go on in strides

inline unsigned blocks_for(int64_t items, int64_t per_block) {
  return static_cast<unsigned>(std::max<int64_t>(1, std::min((items + per_block - 1) / per_block, kMaxBlocks)));
}

inline __device__ float exp_(float x) { return expf(x); }
inline __device__ double exp_(double x) { return exp(x); }
inline __device__ float log1p_(float x) { return log1pf(x); }
inline __device__ double log1p_(double x) { return log1p(x); }

/// The sum of a warp's values in its first lane, by a fixed tree.
template <class T>
__device__ T warp_sum(T value) {
  for (int offset = kWarp / 2; offset > 0; offset /= 2) value += __shfl_down_sync(0xffffffffu, value, offset);
  return value;
}

/// The sum over `kGroup` consecutive threads of a block in the first of them, by a fixed tree: the same bits on every run. kGroup
/// is a warp or the whole block of kThreads; every thread of the block must come here.
template <int kGroup, int kThreads, class T>
__device__ T group_sum(T value) {
  static_assert(kGroup == kWarp || kGroup == kThreads);
  value = warp_sum(value);
  if constexpr (kGroup > kWarp) {
    __shared__ T partial[kThreads / kWarp];
    if (threadIdx.x % kWarp == 0) partial[threadIdx.x / kWarp] = value;
    __syncthreads();
    if (threadIdx.x < kWarp) value = warp_sum(threadIdx.x < kThreads / kWarp ? partial[threadIdx.x] : T(0));
    __syncthreads();  // before the next row writes there
  }
  return value;
}

}  // namespace elbo::cuda_plugin
