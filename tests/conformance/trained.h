#pragma once
#include <map>
#include <string>

#include "conformance/components.h"

namespace elbo::conformance {

/// What an objective is walked on: a model and its settings.
struct Trained {
  std::string model = "vae";
  std::string settings = "{}";
};
inline Trained model_for(const std::string& objective) {
  static const auto multimodal = [](const std::string& rest) {
    return Trained{.model = "multimodal_vae",
                   .settings = "{modalities: {x: {}, label: {likelihood: {type: categorical}}}, " + rest + "}"};
  };
  static const std::map<std::string, Trained> others = {
      {"block_uncertainty", {.model = "vq_vae", .settings = settings("model/vq_vae")}},
      {"dmvae", multimodal("aggregation: {type: poe}, private_size: 2")},
      {"dual_branch", multimodal("aggregation: {type: poe}, private_size: 2")},
      {"jmvae", multimodal("aggregation: {type: joint}")},
      {"mm_jsd", multimodal("aggregation: {type: moe}, private_size: 2")},
      {"mmvae_plus", multimodal("aggregation: {type: moe}, private_size: 2")},
      {"mvtcae", multimodal("aggregation: {type: poe, prior_expert: none}")},
      {"nll", {.model = "code_prior", .settings = settings("model/code_prior")}},
      {"vq", {.model = "vq_vae", .settings = settings("model/vq_vae")}},
      {"vqgan", {.model = "vq_vae", .settings = settings("model/vq_vae")}},
      {"telbo", multimodal("aggregation: {type: joint}")},
      {"subset_elbo", multimodal("aggregation: {type: poe}, private_size: 2")},
  };
  const auto found = others.find(objective);
  return found == others.end() ? Trained{} : found->second;
}

}  // namespace elbo::conformance
