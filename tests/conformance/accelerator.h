#pragma once
#include <c10/core/Device.h>

#include <string>
#include <vector>

namespace elbo::conformance {

/// The device that the walks compare with the CPU: the first CUDA device where there is one. Elsewhere a device of host memory
/// that computes with the CPU's operations but is as strict as CUDA: a tensor of another device among an operation's arguments is
/// refused (numbers of no dimension, copies and indices excepted), as is an operation for which LibTorch has no CUDA code, or,
/// with deterministic algorithms on, one whose CUDA code has none. So a device that is forgotten is found without a GPU.
at::Device accelerator();
inline bool accelerator_is_real() { return accelerator().is_cuda(); }

/// What made the host wait for the device since the last call, an operation a read. Of the device of host memory alone.
std::vector<std::string> take_reads();

}  // namespace elbo::conformance
