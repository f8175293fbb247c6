#include "elbo/math/init.h"

#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include "support/tensors.h"

namespace elbo::init_test {

torch::nn::Sequential network() {
  const DefaultGeneratorGuard guard;
  return torch::nn::Sequential(torch::nn::Conv2d(torch::nn::Conv2dOptions(3, 8, 4)),
                               torch::nn::ConvTranspose2d(torch::nn::ConvTranspose2dOptions(8, 5, 4)),
                               torch::nn::Linear(100, 200));
}

TEST(Init, SameStreamSameBits) {
  auto a = network();
  auto b = network();
  Stream one(4, "init", at::kCPU);
  Stream other(4, "init", at::kCPU);
  init_module(*a, Init::pytorch, one);
  init_module(*b, Init::pytorch, other);
  for (size_t i = 0; i < a->parameters().size(); ++i) expect_equal(a->parameters()[i], b->parameters()[i]);
}

TEST(Init, PytorchBoundsAreInverseRootOfFanIn) {
  auto net = network();
  Stream stream(4, "init", at::kCPU);
  init_module(*net, Init::pytorch, stream);
  // fan_in as torch.nn.init counts it: size(1) x receptive field.
  const std::vector<double> fan_in = {3 * 16, 5 * 16, 100};
  for (size_t i = 0; i < fan_in.size(); ++i) {
    const double bound = 1 / std::sqrt(fan_in[i]);
    for (const auto& parameter : {net->parameters()[2 * i], net->parameters()[2 * i + 1]}) {
      EXPECT_LE(parameter.abs().max().item<double>(), bound);
    }
    const auto weight = net->parameters()[2 * i];
    EXPECT_GT(weight.abs().max().item<double>(), 0.97 * bound);
    EXPECT_NEAR(weight.std().item<double>(), bound / std::sqrt(3.0), 0.05 * bound);
  }
}

TEST(Init, XavierHasZeroBiasesAndItsOwnBound) {
  auto net = network();
  Stream stream(4, "init", at::kCPU);
  init_module(*net, Init::xavier_uniform, stream);
  const double bound = std::sqrt(6.0 / 300);
  EXPECT_NEAR(net->parameters()[4].abs().max().item<double>(), bound, 0.02 * bound);
  expect_close(net->parameters()[5], 0.0);
}

}  // namespace elbo::init_test
