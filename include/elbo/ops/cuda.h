#pragma once
#include <string>

namespace elbo {

/// What became of CUDA in this process.
struct CudaStatus {
  bool libtorch_has_cuda = false;  // LibTorch's CUDA library is there and loaded
  bool plugin_loaded = false;      // our kernels: without them CUDA runs on LibTorch's own operations
  int device_count = 0;
  std::string reason = {};         // why there is no device, and what to do; empty where there is one
  std::string plugin_reason = {};  // why there is no plugin; empty where it is loaded
};

/// Loads LibTorch's CUDA library and then our plugin libelbo_cuda.so, once; later calls return the same. LibTorch caches its CUDA
/// hooks at their first touch, so this must run before any tensor, generator or query of a CUDA device. Costs about 0.3 s: a CPU
/// run never calls it. The plugin is looked for beside the program, then in lib/ and ../lib beside it; the environment variable
/// ELBO_CUDA_PLUGIN names another.
const CudaStatus& cuda_status();

/// The same as a question: is there a CUDA device that can be used?
bool load_cuda();

}  // namespace elbo
