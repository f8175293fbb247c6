#pragma once
#include <cuda_runtime_api.h>

#include "plugin.h"

namespace elbo::cuda_plugin {

void launch_bernoulli_forward(const BernoulliRows& in, void* out, cudaStream_t stream);
void launch_bernoulli_backward(const BernoulliRows& in, const void* grad_out, void* grad_logits, cudaStream_t stream);

}  // namespace elbo::cuda_plugin
