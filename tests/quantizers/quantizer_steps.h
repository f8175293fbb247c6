#pragma once
#include "elbo/quantizers/quantizer.h"
#include "support/tensors.h"

namespace elbo {

/// A quantiser of float32 codes on the host and the steps that it is called with.
struct QuantizerSteps {
  explicit QuantizerSteps(uint64_t seed = 1)
      : init(seed, "init", at::kCPU), noise(seed, "noise", at::kCPU), streams(seed, at::kCPU) {}
  Step step(bool training = true) { return {.training = training, .noise = noise, .streams = streams, .collective = collective}; }
  QuantizerContext context() { return {.init = init}; }

  Quantization forward(Quantizer& quantizer, const Tensor& z, const Tensor& mask = {}) {
    auto now = step();
    return quantizer.forward(z, now, mask);
  }
  Quantization evaluate(Quantizer& quantizer, const Tensor& z, const Tensor& mask = {}) {
    auto now = step(false);
    return quantizer.forward(z, now, mask);
  }
  void initialise(Quantizer& quantizer, const Tensor& z) {
    const torch::NoGradGuard no_grad;
    auto now = step();
    quantizer.initialise(z, now);
  }
  void after_step(Quantizer& quantizer) {
    const torch::NoGradGuard no_grad;
    quantizer.after_step(step());
  }

  Stream init, noise;
  Streams streams;
  Collective collective;
};

inline const QuantizerTerm& term_of(const Quantization& quantized, const std::string& name) {
  for (const auto& term : quantized.terms) {
    if (term.name == name) return term;
  }
  throw std::out_of_range("no term " + name);
}
inline bool has_term(const Quantization& quantized, const std::string& name) {
  for (const auto& term : quantized.terms) {
    if (term.name == name) return true;
  }
  return false;
}

/// Terms times weights, summed over the batch.
inline Tensor weighted_loss(const Quantization& quantized) {
  auto total = torch::zeros({});
  for (const auto& term : quantized.terms) {
    const auto sum = term.value.sum();
    total = total + (term.weight.defined() ? term.weight * sum : sum);
  }
  return total;
}

inline Tensor reading_of(const Quantization& quantized, const std::string& name) {
  for (const auto& reading : quantized.readings) {
    if (reading.name == name) return reading.value;
  }
  ADD_FAILURE() << "no reading " << name;
  return {};
}

/// Writes into a parameter or buffer.
inline void set(torch::nn::Module& module, const std::string& name, const Tensor& value) {
  for (auto& entry : module.named_parameters()) {
    if (entry.key() == name) return (void)entry.value().data().copy_(value);
  }
  for (auto& entry : module.named_buffers()) {
    if (entry.key() == name) return (void)entry.value().copy_(value);
  }
  ADD_FAILURE() << "no parameter or buffer " << name;
}

inline Tensor floats(std::vector<double> numbers, at::IntArrayRef shape) {
  return values(std::move(numbers), shape).to(torch::kFloat);
}

}  // namespace elbo
