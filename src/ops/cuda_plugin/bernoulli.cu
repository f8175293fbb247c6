#include <algorithm>

#include "bernoulli.h"

namespace elbo::cuda_plugin {
namespace {

constexpr int kThreads = 256;
constexpr int kWarp = 32;

__device__ float exp_(float x) { return expf(x); }
__device__ double exp_(double x) { return exp(x); }
__device__ float log1p_(float x) { return log1pf(x); }
__device__ double log1p_(double x) { return log1p(x); }

template <class T>
__device__ T warp_sum(T value) {
  for (int offset = kWarp / 2; offset > 0; offset /= 2) value += __shfl_down_sync(0xffffffffu, value, offset);
  return value;
}

// A block a row and a fixed tree of sums: the same bits on every run.
template <class T>
__global__ void forward_kernel(const T* logits, const T* target, int64_t rows, int64_t target_rows, int64_t event, T* out) {
  __shared__ T partial[kThreads / kWarp];
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const T* l = logits + row * event;
    const T* x = target + row % target_rows * event;
    T sum = 0;
    for (int64_t e = threadIdx.x; e < event; e += kThreads) {
      const T logit = l[e];
      const T magnitude = logit < 0 ? -logit : logit;
      sum += logit * x[e] - (logit > 0 ? logit : T(0)) - log1p_(exp_(-magnitude));
    }
    sum = warp_sum(sum);
    if (threadIdx.x % kWarp == 0) partial[threadIdx.x / kWarp] = sum;
    __syncthreads();
    if (threadIdx.x < kWarp) {
      sum = warp_sum(threadIdx.x < kThreads / kWarp ? partial[threadIdx.x] : T(0));
      if (threadIdx.x == 0) out[row] = sum;
    }
    __syncthreads();
  }
}

template <class T>
__global__ void backward_kernel(const T* logits, const T* target, const T* grad_out, int64_t rows, int64_t target_rows,
                                int64_t event, T* grad_logits) {
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const T* l = logits + row * event;
    const T* x = target + row % target_rows * event;
    const T g = grad_out[row];
    for (int64_t e = threadIdx.x; e < event; e += kThreads) {
      const T logit = l[e];
      const T u = exp_(logit < 0 ? logit : -logit);
      const T tail = u / (1 + u);
      grad_logits[row * event + e] = g * (logit >= 0 ? (x[e] - 1) + tail : x[e] - tail);
    }
  }
}

unsigned blocks_for(int64_t rows) { return static_cast<unsigned>(std::min<int64_t>(rows, 1 << 20)); }

template <class T>
void forward(const BernoulliRows& in, void* out, cudaStream_t stream) {
  forward_kernel<T><<<blocks_for(in.rows), kThreads, 0, stream>>>(static_cast<const T*>(in.logits),
                                                                  static_cast<const T*>(in.target), in.rows, in.target_rows,
                                                                  in.event, static_cast<T*>(out));
}

template <class T>
void backward(const BernoulliRows& in, const void* grad_out, void* grad_logits, cudaStream_t stream) {
  backward_kernel<T><<<blocks_for(in.rows), kThreads, 0, stream>>>(
      static_cast<const T*>(in.logits), static_cast<const T*>(in.target), static_cast<const T*>(grad_out), in.rows,
      in.target_rows, in.event, static_cast<T*>(grad_logits));
}

}  // namespace

void launch_bernoulli_forward(const BernoulliRows& in, void* out, cudaStream_t stream) {
  (in.scalar == Scalar::float32 ? forward<float> : forward<double>)(in, out, stream);
}

void launch_bernoulli_backward(const BernoulliRows& in, const void* grad_out, void* grad_logits, cudaStream_t stream) {
  (in.scalar == Scalar::float32 ? backward<float> : backward<double>)(in, grad_out, grad_logits, stream);
}

}  // namespace elbo::cuda_plugin
