#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <torch/headeronly/version.h>

#include <iostream>
#include <thread>

#include "command.h"
#include "elbo/base/table.h"
#include "elbo/base/version.h"
#include "elbo/ops/cuda.h"

namespace elbo {

int run_doctor(const std::vector<std::string>& words) {
  CommandLine line("doctor", "Tells versions, processors, threads and devices, and what is missing for CUDA.", "",
                   {"elbo doctor"});
  line.add_runtime();
  if (!line.parse(words, 0, 0)) return 0;
  const auto& cuda = cuda_status();  // before any other touch of LibTorch's devices
  const auto runtime = line.runtime();
  const char* root = std::getenv("ELBO_DATA_ROOT");
  Table table({{.title = "what"}, {.title = "here"}});
  table.row({"elbo", version()});
  table.row({"LibTorch", TORCH_VERSION});
  table.row({"compiler", std::string("g++ ") + __VERSION__});
  table.row({"vector instructions", at::get_cpu_capability()});
  table.row({"processors", std::to_string(std::thread::hardware_concurrency())});
  table.row({"threads in use", std::to_string(at::get_num_threads())});
  table.row({"LibTorch has CUDA", cuda.libtorch_has_cuda ? "yes" : "no"});
  table.row({"elbo's CUDA kernels", cuda.plugin_loaded ? "loaded" : "not loaded"});
  table.row({"CUDA devices", std::to_string(cuda.device_count)});
  if (!cuda.reason.empty()) table.row({"about CUDA", cuda.reason});
  if (!cuda.plugin_reason.empty()) table.row({"about the kernels", cuda.plugin_reason});
  table.row({"--device auto means", runtime.device.str()});
  table.row({"data root",
             std::filesystem::absolute(runtime.data_root).string() + (root == nullptr ? " (ELBO_DATA_ROOT is not set)" : "")});
  std::cout << table.str();
  return 0;
}

}  // namespace elbo
