#include "launch.h"

namespace elbo::cuda_plugin {
namespace code_sums_kernels {
namespace {

constexpr int kSplit = 8;  // threads that share one element's rows

/// A block a code: thread (x, y) adds the rows y, y + kSplit, ... of the elements x, x + 32, ..., and a column adds up in order,
/// so that the schedule doesn't change a bit.
template <class T>
__global__ void code_sums_kernel(const T* z, const int64_t* order, const int64_t* begin, int64_t num_codes, int64_t size,
                                 T* sum) {
  __shared__ double partial[kSplit][kWarp];
  for (int64_t code = blockIdx.x; code < num_codes; code += gridDim.x) {
    const int64_t first = begin[code], end = begin[code + 1];
    for (int64_t d = 0; d < size; d += kWarp) {
      const int64_t element = d + threadIdx.x;
      double total = 0;
      if (element < size) {
        for (int64_t i = first + threadIdx.y; i < end; i += kSplit) total += static_cast<double>(z[order[i] * size + element]);
      }
      partial[threadIdx.y][threadIdx.x] = total;
      __syncthreads();
      if (threadIdx.y == 0 && element < size) {
        for (int y = 1; y < kSplit; ++y) total += partial[y][threadIdx.x];
        sum[code * size + element] = static_cast<T>(total);
      }
      __syncthreads();  // before the next elements are written there
    }
  }
}

template <class T>
void code_sums(const SortedCodes& in, void* sum, StreamHandle stream) {
  launch(code_sums_kernel<T>, blocks_for(in.num_codes, 1), dim3(kWarp, kSplit), stream, static_cast<const T*>(in.z), in.order,
         in.begin, in.num_codes, in.size, static_cast<T*>(sum));
}

}  // namespace
}  // namespace code_sums_kernels

void launch_code_sums(const SortedCodes& in, void* sum, StreamHandle stream) {
  (in.scalar == Scalar::float32 ? code_sums_kernels::code_sums<float> : code_sums_kernels::code_sums<double>)(in, sum, stream);
}

}  // namespace elbo::cuda_plugin
