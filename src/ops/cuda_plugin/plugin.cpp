#include "plugin.h"

#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#include "kernels.h"

namespace elbo::cuda_plugin {
namespace {

cudaStream_t current_stream(int device) {
  return c10::cuda::getCurrentCUDAStream(static_cast<c10::DeviceIndex>(device)).stream();
}

/// Runs `start` on the current stream of `device` and reports a launch that failed.
template <class Start, class... Arguments>
void on_stream(int device, Start start, const Arguments&... arguments) {
  const c10::cuda::CUDAGuard guard(static_cast<c10::DeviceIndex>(device));
  start(arguments..., current_stream(device));
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

/// The table's function of one of kernels.h's.
template <auto start, class In, class... Rest>
void run(const In& in, Rest... rest) {
  on_stream(in.device, start, in, rest...);
}
template <auto start, class In>
void run_backward(const In& in, const void* grad_out, const NormalGradients& grads) {
  on_stream(in.device, start, in, grad_out, grads);
}

void nearest_code(const CodeSearch& in) {
  int multiprocessors = 0;
  C10_CUDA_CHECK(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, in.device));
  on_stream(in.device, launch_nearest_code, in, multiprocessors);
}

constexpr Table kTable = {
    .version = kVersion,
    .bernoulli_forward = run<launch_bernoulli_forward, BernoulliRows, void*>,
    .bernoulli_backward = run<launch_bernoulli_backward, BernoulliRows, const void*, void*>,
    .normal_log_prob_forward = run<launch_normal_log_prob_forward, NormalRows, void*>,
    .normal_log_prob_backward = run_backward<launch_normal_log_prob_backward, NormalRows>,
    .normal_rsample_forward = run<launch_normal_rsample_forward, NormalRows, void*>,
    .normal_rsample_backward = run_backward<launch_normal_rsample_backward, NormalRows>,
    .normal_kl_forward = run<launch_normal_kl_forward, NormalRows, void*>,
    .normal_kl_backward = run_backward<launch_normal_kl_backward, NormalRows>,
    .soft_clip_forward = run<launch_soft_clip_forward, ClippedValues, void*>,
    .soft_clip_backward = run<launch_soft_clip_backward, ClippedValues, const void*, void*>,
    .nearest_code = nearest_code,
    .code_sums = run<launch_code_sums, SortedCodes, void*>,
};

}  // namespace
}  // namespace elbo::cuda_plugin

extern "C" __attribute__((visibility("default"))) const elbo::cuda_plugin::Table* elbo_cuda_table() {
  return &elbo::cuda_plugin::kTable;
}
