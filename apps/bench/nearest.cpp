// Searches for nearest codes on request, for scripts/bench: makes N rows and V codes of D numbers, says "ready", then answers each
// word on standard input with a number: "search" and "product" with the seconds that nearest_code() and bare matrix products of the
// same size (LibTorch's, in blocks of rows) took, "memory" with the peak in MB.
#include <ATen/Parallel.h>
#include <torch/autograd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iostream>
#include <string>

#include "elbo/ops/nearest_code.h"

namespace elbo {
namespace {

double peak_megabytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stod(line.substr(6)) / 1024;
  }
  return 0;
}

template <class Work>
double seconds_of(const Work& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void multiply_in_blocks(const Tensor& z, const Tensor& codes) {
  constexpr int64_t kRows = 2048;
  auto out = torch::empty({kRows, codes.size(0)});
  for (int64_t begin = 0; begin < z.size(0); begin += kRows) {
    const int64_t count = std::min(kRows, z.size(0) - begin);
    auto part = out.narrow(0, 0, count);
    at::mm_out(part, z.narrow(0, begin, count), codes.t());
  }
}

int run(int64_t N, int64_t V, int64_t D, int threads) {
  at::set_num_threads(threads);
  const torch::NoGradGuard no_grad;
  torch::manual_seed(1);
  const auto z = torch::randn({N, D}), codes = torch::randn({V, D});
  std::cout << "ready" << std::endl;
  for (std::string word; std::cin >> word;) {
    if (word == "search") std::cout << seconds_of([&] { nearest_code(z, codes); }) << std::endl;
    if (word == "product") std::cout << seconds_of([&] { multiply_in_blocks(z, codes); }) << std::endl;
    if (word == "memory") std::cout << peak_megabytes() << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace elbo

int main(int argc, char** argv) {
  if (argc != 5) {
    std::cerr << "usage: bench_nearest N V D THREADS\n";
    return 1;
  }
  return elbo::run(std::stoll(argv[1]), std::stoll(argv[2]), std::stoll(argv[3]), std::stoi(argv[4]));
}
