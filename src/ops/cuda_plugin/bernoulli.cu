#include "launch.h"

namespace elbo::cuda_plugin {
namespace bernoulli_kernels {
namespace {

constexpr int kThreads = 256;

/// A block a row.
template <class T>
__global__ void bernoulli_forward_kernel(const T* logits, const T* target, int64_t rows, int64_t target_rows, int64_t event,
                                         T* out) {
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const T* l = logits + row * event;
    const T* x = target + row % target_rows * event;
    T sum = 0;
    for (int64_t e = threadIdx.x; e < event; e += kThreads) {
      const T logit = l[e];
      const T magnitude = logit < 0 ? -logit : logit;
      sum += logit * x[e] - (logit > 0 ? logit : T(0)) - log1p_(exp_(-magnitude));
    }
    sum = group_sum<kThreads, kThreads>(sum);
    if (threadIdx.x == 0) out[row] = sum;
  }
}

template <class T>
__global__ void bernoulli_backward_kernel(const T* logits, const T* target, const T* grad_out, int64_t rows, int64_t target_rows,
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

template <class T>
void bernoulli_forward(const BernoulliRows& in, void* out, StreamHandle stream) {
  launch(bernoulli_forward_kernel<T>, blocks_for(in.rows, 1), kThreads, stream, static_cast<const T*>(in.logits),
         static_cast<const T*>(in.target), in.rows, in.target_rows, in.event, static_cast<T*>(out));
}

template <class T>
void bernoulli_backward(const BernoulliRows& in, const void* grad_out, void* grad_logits, StreamHandle stream) {
  launch(bernoulli_backward_kernel<T>, blocks_for(in.rows, 1), kThreads, stream, static_cast<const T*>(in.logits),
         static_cast<const T*>(in.target), static_cast<const T*>(grad_out), in.rows, in.target_rows, in.event,
         static_cast<T*>(grad_logits));
}

}  // namespace
}  // namespace bernoulli_kernels

void launch_bernoulli_forward(const BernoulliRows& in, void* out, StreamHandle stream) {
  (in.scalar == Scalar::float32 ? bernoulli_kernels::bernoulli_forward<float>
                                : bernoulli_kernels::bernoulli_forward<double>)(in, out, stream);
}

void launch_bernoulli_backward(const BernoulliRows& in, const void* grad_out, void* grad_logits, StreamHandle stream) {
  (in.scalar == Scalar::float32 ? bernoulli_kernels::bernoulli_backward<float>
                                : bernoulli_kernels::bernoulli_backward<double>)(in, grad_out, grad_logits, stream);
}

}  // namespace elbo::cuda_plugin
