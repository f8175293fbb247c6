// Steps of a training on request, for scripts/bench: builds the experiment of a YAML file, makes one step, says "ready", then
// reads numbers of steps from standard input and answers with the seconds they took; "memory" is answered with the peak in MB. On
// a CUDA device convolutions may round to TF32, as PyTorch lets them.
#include <ATen/Parallel.h>
#include <malloc.h>

#include <chrono>
#include <fstream>
#include <iostream>
#include <string>

#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/experiment/experiment.h"
#include "elbo/ops/device.h"
#include "elbo/training/trainer.h"

namespace elbo {
namespace {

double peak_megabytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stod(line.substr(6)) / 1024;
  }
  return 0;
}

void serve(Trainer& trainer) {
  trainer.step();
  trainer.check_finite();
  std::cout << "ready" << std::endl;
  for (std::string word; std::cin >> word;) {
    if (word == "memory") {
      std::cout << peak_megabytes() << std::endl;
      continue;
    }
    const auto start = std::chrono::steady_clock::now();
    for (int steps = std::stoi(word); steps > 0; --steps) trainer.step();
    trainer.check_finite();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    std::cout << seconds.count() << std::endl;
  }
}

int run(const std::string& file, const std::string& data_root, int threads, const std::string& device_name) {
  at::set_num_threads(threads);
  set_log_level(LogLevel::warn);
  const auto device = resolve_device(device_name);
  const std::vector<std::string> as_pytorch = {"training.precision=tf32"};
  const auto config = load_experiment(file, device.is_cuda() ? std::span(as_pytorch) : std::span<const std::string>());
  const auto experiment = build_experiment(config, {.device = device, .data_root = data_root}, DataUse::load);
  const auto loader =
      std::make_shared<Loader>(experiment.dataset, experiment.dataset->batch_size(), experiment.seed(), ShortBatch::drop);
  Trainer trainer({.model = experiment.model,
                   .objective = experiment.objective,
                   .loader = loader,
                   .optimizer = config.optimizer,
                   .config = config.training,
                   .device = device,
                   .seed = experiment.seed()});
  serve(trainer);
  return 0;
}

}  // namespace
}  // namespace elbo

int main(int argc, char** argv) {
  if (argc != 4 && argc != 5) {
    std::cerr << "usage: bench_training CONFIG.yaml DATA_ROOT THREADS [DEVICE]\n";
    return 1;
  }
  mallopt(M_MMAP_THRESHOLD, 1 << 30);  // as the program elbo does
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  try {
    return elbo::run(argv[1], argv[2], std::stoi(argv[3]), argc == 5 ? argv[4] : "cpu");
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
