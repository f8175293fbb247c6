#include "plugin.h"

#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "bernoulli.h"

namespace elbo::cuda_plugin {
namespace {

cudaStream_t current_stream(int device) {
  return c10::cuda::getCurrentCUDAStream(static_cast<c10::DeviceIndex>(device)).stream();
}

void bernoulli_forward(const BernoulliRows& in, void* out) {
  const c10::cuda::CUDAGuard guard(static_cast<c10::DeviceIndex>(in.device));
  launch_bernoulli_forward(in, out, current_stream(in.device));
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

void bernoulli_backward(const BernoulliRows& in, const void* grad_out, void* grad_logits) {
  const c10::cuda::CUDAGuard guard(static_cast<c10::DeviceIndex>(in.device));
  launch_bernoulli_backward(in, grad_out, grad_logits, current_stream(in.device));
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

constexpr Table kTable = {
    .version = kVersion,
    .bernoulli_forward = bernoulli_forward,
    .bernoulli_backward = bernoulli_backward,
};

}  // namespace
}  // namespace elbo::cuda_plugin

extern "C" __attribute__((visibility("default"))) const elbo::cuda_plugin::Table* elbo_cuda_table() {
  return &elbo::cuda_plugin::kTable;
}
