#include "elbo/nn/network.h"

#include "elbo/base/error.h"

namespace elbo {

void set_output_bias(Decoder& decoder, const Tensor& bias) {
  const torch::NoGradGuard no_grad;
  Tensor target = decoder.output_bias();
  if (!target.defined()) return;
  if (target.numel() == bias.numel()) {
    target.copy_(bias.reshape(target.sizes()));
    return;
  }
  if (bias.dim() < 2 || bias.size(0) != target.numel()) {
    throw ShapeError("output bias: got " + shape_text(bias.sizes()) + ", the decoder's last layer has " +
                     shape_text(target.sizes()));
  }
  target.copy_(bias.flatten(1).mean(1));
}

Tensor activate(const Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::relu:
      return torch::relu(x);
    case Activation::tanh:
      return torch::tanh(x);
    case Activation::elu:
      return torch::elu(x);
    case Activation::silu:
      return torch::silu(x);
    case Activation::gelu:
      return torch::gelu(x);
    case Activation::leaky_relu:
      return torch::leaky_relu(x);
    case Activation::sigmoid:
      return torch::sigmoid(x);
  }
  throw UsageError("activation " + std::to_string(static_cast<int>(activation)) + " does not exist");
}

}  // namespace elbo
