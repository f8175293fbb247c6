#pragma once
#include <torch/nn/module.h>

#include <array>
#include <string_view>

#include "elbo/math/random.h"

namespace elbo {

/// Weight initialisation of a network, always from the stream `init`.
enum class Init {
  pytorch,        // U(-1/sqrt(fan_in), 1/sqrt(fan_in)) for weights and biases: torch.nn.Linear's and Conv2d's default
  xavier_uniform  // Glorot & Bengio 2010, biases zero
};
constexpr auto enum_names(Init) {
  return std::array{std::pair{std::string_view("pytorch"), Init::pytorch},
                    std::pair{std::string_view("xavier_uniform"), Init::xavier_uniform}};
}

/// Initialises one weight and its bias (may be undefined) in place. fan_in is size(1) x receptive field, as PyTorch counts it
/// for plain and transposed convolutions alike.
void init_weight(Tensor& weight, Tensor& bias, Init init, Stream& stream);

/// Bytes of this machine's memory.
double physical_memory();

/// Elements of all parameters of a module.
int64_t num_parameters(const torch::nn::Module& module);

/// Refuses parameters that this machine could not train (weight, gradient and two moments each in its memory), before anything is
/// allocated. `what` names the component. Throws: ConfigError.
void check_num_parameters(double num_parameters, std::string_view what);

/// Initialises every Linear, Conv2d and ConvTranspose2d below a module, in the order of named_modules().
void init_module(torch::nn::Module& module, Init init, Stream& stream);

}  // namespace elbo
