#include "elbo/ops/cuda.h"

#include <ATen/Context.h>
#include <dlfcn.h>
#include <link.h>

#include <cstdlib>
#include <filesystem>
#include <vector>

#include "cuda_table.h"

namespace elbo {
namespace {

namespace fs = std::filesystem;

std::atomic<const cuda_plugin::Table*> loaded_table = nullptr;

std::string last_dl_error() {
  const char* text = dlerror();
  return text ? text : "unknown reason";
}

/// The folder of the LibTorch that this process runs on.
fs::path libtorch_folder() {
  void* handle = dlopen("libtorch_cpu.so", RTLD_LAZY | RTLD_NOLOAD);
  if (!handle) return {};
  link_map* map = nullptr;
  const bool found = dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0;
  const fs::path path = found ? fs::path(map->l_name) : fs::path();
  dlclose(handle);
  return path.parent_path();
}

std::vector<fs::path> plugin_candidates() {
  if (const char* named = std::getenv("ELBO_CUDA_PLUGIN"); named && *named) return {named};
  std::error_code failed;
  const auto here = fs::read_symlink("/proc/self/exe", failed).parent_path();
  return {here / "libelbo_cuda.so", here / "lib" / "libelbo_cuda.so", here.parent_path() / "lib" / "libelbo_cuda.so"};
}

/// Returns what went wrong, or nothing.
std::string load_plugin() {
  for (const auto& path : plugin_candidates()) {
    std::error_code failed;
    if (!fs::exists(path, failed)) continue;
    void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!handle) return path.string() + " can't be loaded: " + last_dl_error();
    const auto function = reinterpret_cast<cuda_plugin::TableFunction>(dlsym(handle, cuda_plugin::kTableSymbol));
    if (!function) return path.string() + " is not a plugin of elbo: it has no " + cuda_plugin::kTableSymbol;
    const auto* table = function();
    if (table->version != cuda_plugin::kVersion) {
      return path.string() + " has version " + std::to_string(table->version) + ", expected " +
             std::to_string(cuda_plugin::kVersion) + ": rebuild it together with the program";
    }
    loaded_table = table;
    return {};
  }
  return "no libelbo_cuda.so beside the program or in its lib/ (a build without nvcc has none): CUDA runs on LibTorch's own "
         "operations";
}

CudaStatus load() {
  CudaStatus status;
  const auto library = libtorch_folder() / "libtorch_cuda.so";
  std::error_code failed;
  if (!fs::exists(library, failed)) {
    status.plugin_reason = "not looked for";
    status.reason = "this LibTorch has no CUDA (" + library.string() + " is missing): install a CUDA build of torch";
    return status;
  }
  if (!dlopen(library.c_str(), RTLD_NOW | RTLD_GLOBAL)) {
    status.plugin_reason = "not looked for";
    status.reason = "LibTorch's CUDA library can't be loaded: " + last_dl_error();
    return status;
  }
  status.libtorch_has_cuda = true;
  // Asked through the generic hooks: this program links no CUDA library.
  status.device_count = at::globalContext().hasCUDA() ? static_cast<int>(at::detail::getCUDAHooks().deviceCount()) : 0;
  at::globalContext().setAllowTF32CuDNN(false);  // float32 is float32 unless training.precision says otherwise
  status.plugin_reason = load_plugin();
  status.plugin_loaded = loaded_table != nullptr;
  if (status.device_count == 0) {
    status.reason =
        "LibTorch's CUDA is loaded but sees no device: install an NVIDIA driver (nvidia-smi must list the GPU) and check "
        "CUDA_VISIBLE_DEVICES";
  }
  return status;
}

}  // namespace

const CudaStatus& cuda_status() {
  static const CudaStatus status = load();
  return status;
}

bool load_cuda() { return cuda_status().device_count > 0; }

const cuda_plugin::Table* detail::cuda_table() { return loaded_table; }

}  // namespace elbo
