#pragma once
#include "plugin.h"

struct CUstream_st;  // what a cudaStream_t points to: no CUDA header is needed to name one

// What plugin.cpp starts on a stream; each is defined in a .cu file.
namespace elbo::cuda_plugin {

using StreamHandle = CUstream_st*;

void launch_bernoulli_forward(const BernoulliRows& in, void* out, StreamHandle stream);
void launch_bernoulli_backward(const BernoulliRows& in, const void* grad_out, void* grad_logits, StreamHandle stream);

void launch_normal_log_prob_forward(const NormalRows& in, void* out, StreamHandle stream);
void launch_normal_log_prob_backward(const NormalRows& in, const void* grad_out, const NormalGradients& grads,
                                     StreamHandle stream);
void launch_normal_rsample_forward(const NormalRows& in, void* out, StreamHandle stream);
void launch_normal_rsample_backward(const NormalRows& in, const void* grad_out, const NormalGradients& grads,
                                    StreamHandle stream);
void launch_normal_kl_forward(const NormalRows& in, void* out, StreamHandle stream);
void launch_normal_kl_backward(const NormalRows& in, const void* grad_out, const NormalGradients& grads, StreamHandle stream);
void launch_soft_clip_forward(const ClippedValues& in, void* out, StreamHandle stream);
void launch_soft_clip_backward(const ClippedValues& in, const void* grad_out, void* grad, StreamHandle stream);

/// `multiprocessors` of the device: how many blocks keep it busy.
void launch_nearest_code(const CodeSearch& in, int multiprocessors, StreamHandle stream);
void launch_code_sums(const SortedCodes& in, void* sum, StreamHandle stream);

}  // namespace elbo::cuda_plugin
