#include "elbo/math/init.h"

#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <unistd.h>

#include <cmath>

#include "elbo/base/error.h"
#include "elbo/base/text.h"

namespace elbo {

void init_weight(Tensor& weight, Tensor& bias, Init init, Stream& stream) {
  const torch::NoGradGuard no_grad;
  const int64_t receptive = weight.dim() > 2 ? weight[0][0].numel() : 1;
  // PyTorch counts fan_in as size(1) for both layouts; for a transposed convolution that is its output side.
  const double fan_in = static_cast<double>(weight.size(1) * receptive);
  const double fan_out = static_cast<double>(weight.size(0) * receptive);
  const double bound = init == Init::pytorch ? 1 / std::sqrt(fan_in) : std::sqrt(6 / (fan_in + fan_out));
  weight.copy_(stream.uniform(weight.sizes(), {}) * (2 * bound) - bound);
  if (!bias.defined()) return;
  if (init == Init::pytorch) {
    bias.copy_(stream.uniform(bias.sizes(), {}) * (2 * bound) - bound);
  } else {
    bias.zero_();
  }
}

namespace {

void init_one(torch::nn::Module& module, Init init, Stream& stream) {
  if (auto* linear = module.as<torch::nn::Linear>()) {
    init_weight(linear->weight, linear->bias, init, stream);
  } else if (auto* conv = module.as<torch::nn::Conv2d>()) {
    init_weight(conv->weight, conv->bias, init, stream);
  } else if (auto* transposed = module.as<torch::nn::ConvTranspose2d>()) {
    init_weight(transposed->weight, transposed->bias, init, stream);
  }
}

}  // namespace

double physical_memory() { return static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE)); }

int64_t num_parameters(const torch::nn::Module& module) {
  int64_t total = 0;
  for (const auto& parameter : module.parameters()) total += parameter.numel();
  return total;
}

void check_num_parameters(double num_parameters, std::string_view what) {
  constexpr double kBytesAParameter = 16;
  const double memory = physical_memory();
  const double needed = num_parameters * kBytesAParameter;
  if (needed <= memory) return;
  constexpr double kGigabyte = 1e9;
  throw ConfigError(text(what, ": ", shortest(std::round(num_parameters / 1e6)), " million parameters take ",
                         shortest(std::round(needed / kGigabyte)), " GB to train, this machine has ",
                         shortest(std::round(memory / kGigabyte)), " GB; make it smaller"));
}

void init_module(torch::nn::Module& module, Init init, Stream& stream) {
  init_one(module, init, stream);
  // Without the module itself: constructors call this, when no shared_ptr holds it yet.
  for (auto& entry : module.modules(/*include_self=*/false)) init_one(*entry, init, stream);
}

}  // namespace elbo
