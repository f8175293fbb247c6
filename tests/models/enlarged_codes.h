#pragma once
#include "elbo/distributions/laplace_likelihood.h"
#include "elbo/models/asymmetric_vae.h"
#include "elbo/models/vq_vae.h"
#include "elbo/nn/vqgan.h"
#include "elbo/quantizers/ema.h"
#include "quantizers/quantizer_steps.h"

// A quantised model of pictures of 8 x 8 with the networks of VQGAN, and the second stage that enlarges what it decodes.
namespace elbo::enlarged_codes {

inline DataSpec spec() {
  return {{"x", {.shape = {1, 8, 8}, .kind = ValueKind::unit}}, {"target", {.shape = {1, 16, 16}, .kind = ValueKind::unit}}};
}

inline VqganNetworkConfig network() {
  return {.channels = 8, .multipliers = {1, 2}, .blocks = 1, .attention_size = 4, .norm_groups = 4, .features = 8};
}

inline LikelihoodChoice likelihood() {
  LikelihoodChoice choice{likelihoods, "laplace"};
  choice.set("laplace", LaplaceLikelihoodConfig{.scale = 0.5});
  return choice;
}

inline std::shared_ptr<VqVae> base(const DataSpec& data = spec(), uint64_t seed = 1) {
  VqVaeConfig config{.likelihood = likelihood()};
  config.encoder.set("vqgan", network());
  config.decoder.set("vqgan", network());
  config.quantizer.set("ema", EmaConfig{.codes = 16, .code_size = 4});
  Stream init(seed, "init", at::kCPU);
  return std::make_shared<VqVae>(config, ModelContext{.spec = data, .init = init});
}

inline std::shared_ptr<AsymmetricVae> model(const std::shared_ptr<Model>& of, EnlargingHead head = EnlargingHead::dup_shuffle,
                                            const DataSpec& data = spec()) {
  AsymmetricVaeConfig config{.likelihood = likelihood(), .head = head};
  config.decoder.set("vqgan", network());
  Stream init(9, "init", at::kCPU);
  return std::make_shared<AsymmetricVae>(config, ModelContext{.spec = data, .init = init, .base = of});
}

inline Batch batch(int64_t B = 4) {
  const auto pictures = wavy({B, 1, 16, 16}, 0.4).abs().to(torch::kFloat);
  return {.fields = {{"x", {.value = torch::avg_pool2d(pictures, 2)}}, {"target", {.value = pictures}}},
          .index = torch::arange(B)};
}

}  // namespace elbo::enlarged_codes
