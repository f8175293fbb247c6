#pragma once
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/nn/module.h>

#include "elbo/base/error.h"
#include "elbo/math/step.h"
#include "elbo/nn/network.h"
#include "golden/nn.h"
#include "support/tensors.h"

namespace elbo::network_test {

inline Stream init_stream(uint64_t seed = 1) { return Stream(seed, "init", at::kCPU); }

inline std::vector<std::string> names_and_shapes(const torch::nn::Module& module) {
  std::vector<std::string> words;
  for (const auto& entry : module.named_parameters()) words.push_back(entry.key() + " " + shape_text(entry.value().sizes()));
  return words;
}

/// Float64, element j of the i-th parameter 0.4 sin(1.7 j + i), as scripts/make_golden_nn.py does.
inline void fill(torch::nn::Module& module) {
  const torch::NoGradGuard no_grad;
  module.to(torch::kDouble);
  double phase = 0;
  for (auto& parameter : module.parameters()) parameter.copy_(0.4 * wavy(parameter.sizes(), phase++));
}

/// What the trainer does to everything below a module after the optimiser.
inline void after_step(torch::nn::Module& module) {
  Stream noise(1, "noise", at::kCPU);
  Streams streams(1, at::kCPU);
  Collective alone;
  const Step step{.noise = noise, .streams = streams, .collective = alone};
  for (auto& below : module.modules(/*include_self=*/false)) {
    if (auto* stepped = dynamic_cast<Stepped*>(below.get())) stepped->after_step(step);
  }
  if (auto* stepped = dynamic_cast<Stepped*>(&module)) stepped->after_step(step);
}

inline void expect_gradient_everywhere(const torch::nn::Module& module, const Tensor& output) {
  (output * wavy(output.sizes(), 0.2).to(torch::kFloat)).sum().backward();
  for (const auto& entry : module.named_parameters()) {
    SCOPED_TRACE(entry.key());
    ASSERT_TRUE(entry.value().grad().defined());
    expect_finite(entry.value().grad());
    EXPECT_GT(entry.value().grad().abs().max().item<float>(), 0);
  }
}

/// The message of the Error that `call` must throw.
template <class Call>
std::string message_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

}  // namespace elbo::network_test
