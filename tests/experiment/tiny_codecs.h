#pragma once
#include <memory>
#include <string>
#include <vector>

#include "elbo/config/yaml.h"
#include "elbo/experiment/codec.h"
#include "elbo/models/code_prior.h"

/// Real models with codes, small and untrained, and priors over them.
namespace elbo::tiny_codecs {

struct TinyBase {
  std::string name = {};
  std::string model = {};  // of the catalog
  std::string settings = {};
};

inline TinyBase tiny_vq_vae(const std::string& quantizer) {
  const std::string network = "{type: residual_conv, channels: [6], residual_blocks: 0}";
  return {quantizer, "vq_vae",
          "{encoder: " + network + ", decoder: " + network + ", likelihood: {type: normal, scale: 0.3}, quantizer: " + quantizer +
              "}"};
}

inline TinyBase tiny_vq_vae_2() {
  const auto level = [](const std::string& quantizer) {
    const std::string network = "{type: residual_conv, channels: [6], residual_blocks: 0}";
    return "{encoder: " + network + ", decoder: " + network + ", quantizer: " + quantizer + "}";
  };
  return {"vq_vae_2", "vq_vae_2",
          "{bottom: " + level("{type: ema, codes: 16, code_size: 4}") + ", top: " + level("{type: vq, codes: 24, code_size: 4}") +
              ", likelihood: {type: normal, scale: 0.3}}"};
}

inline TinyBase tiny_mcquic() {
  return {"mcquic", "mcquic",
          "{channels: 8, halvings: 0, levels: [{quantizer: {type: mcquic, codes: 12, code_size: 8}}, "
          "{quantizer: {type: mcquic, codes: 9, code_size: 8}}]}"};
}

/// Of one group and of several a place, of one level and of two, with a codebook and without.
inline std::vector<TinyBase> tiny_bases() {
  return {tiny_vq_vae("{type: vq, codes: 13, code_size: 4}"),
          tiny_vq_vae("{type: product, groups: 2, quantizer: {type: vq, codes: 16, code_size: 4}}"),
          tiny_vq_vae("{type: residual, levels: 3, quantizer: {type: vq, codes: 16, code_size: 4}}"),
          tiny_vq_vae("{type: fsq, levels: [5, 4, 3]}"),
          tiny_vq_vae("{type: bsq, code_size: 6, groups: 2}"),
          tiny_vq_vae_2(),
          tiny_mcquic()};
}

inline std::vector<std::string> tiny_priors() {
  return {"{type: transformer, width: 8, layers: 1, heads: 2}", "{type: pixel_cnn, width: 8, layers: 1}",
          "{type: gated_pixel_cnn, width: 8, layers: 1}", "{type: pixel_snail, width: 8, blocks: 1, layers: 1, heads: 2}"};
}

inline DataSpec tiny_spec() {
  return {{"x", {.shape = {1, 8, 8}, .kind = ValueKind::unit, .levels = 256}},
          {"label", {.shape = {}, .kind = ValueKind::category, .num_classes = 3}}};
}

/// Numbers in +-scale by integers and one product: the same bits in a process without vector instructions.
inline void fill_parameters(torch::nn::Module& module, double scale = 0.5) {
  const torch::NoGradGuard no_grad;
  int64_t k = 0;
  for (auto& parameter : module.parameters()) {
    auto numbers = torch::empty(parameter.sizes(), torch::kDouble);
    auto* first = numbers.mutable_data_ptr<double>();
    for (int64_t i = 0; i < numbers.numel(); ++i) first[i] = (static_cast<double>(++k * 7919 % 10007) / 5003.5 - 1) * scale;
    parameter.copy_(numbers);
  }
}

inline std::shared_ptr<Model> tiny_model(const std::string& name, const std::string& settings, const ModelContext& context) {
  auto config = models().get(name).defaults();
  Problems problems;
  config->read(parse_yaml(settings, name), name, problems, nullptr);
  problems.throw_if_any();
  auto model = models().make_from(name, *config, context);
  model->eval();
  return model;
}

/// A base, and a prior over it where one is named, of the same weights each time.
inline std::shared_ptr<Model> tiny_stage(const TinyBase& base, const std::string& prior, const DataSpec& spec) {
  Stream init(3, "init", at::kCPU);
  auto model = tiny_model(base.model, base.settings, {.spec = spec, .init = init});
  {
    const torch::NoGradGuard no_grad;
    for (auto& parameter : model->parameters()) parameter.add_(0.3 * init.normal(parameter.sizes(), {}));
  }
  if (prior.empty()) return model;
  const auto stage =
      tiny_model("code_prior", "{prior: " + prior + ", condition: label}", {.spec = spec, .init = init, .base = model});
  auto& second = dynamic_cast<CodePriorModel&>(*stage);
  for (size_t level = 0; level < second.num_levels(); ++level) fill_parameters(second.prior(level));
  return stage;
}

/// A codec and the model that it lives on.
struct TinyCodec {
  explicit TinyCodec(const TinyBase& base, const std::string& prior = {}) : model(tiny_stage(base, prior, spec)) {
    auto parts = codec_parts(*model, spec, at::kCPU);
    parts.model_hash = std::string(64, 'a');
    if (!parts.priors.empty()) parts.prior_hash = std::string(64, 'b');
    codec = std::make_unique<Codec>(std::move(parts));
  }
  DataSpec spec = tiny_spec();
  std::shared_ptr<Model> model;
  std::unique_ptr<Codec> codec = {};
};

/// Shapes: [N, 1, 8, 8].
inline Tensor tiny_pictures(int64_t N) {
  Stream noise(11, "pictures", at::kCPU);
  return (noise.uniform({N}, {1, 8, 8}) * 255).round() / 255;
}

/// All streams of a file, one after the other, a level each.
inline std::vector<Tensor> codes_in(Codec& codec, const std::vector<uint8_t>& bytes) {
  const CodeFile file(bytes, "codes.elbo");
  const CodeReader reader(codec, file);
  std::vector<Tensor> whole;
  for (int64_t i = 0; i < file.header().num_streams(); ++i) {
    const auto codes = reader.stream(i);
    for (size_t level = 0; level < codes.size(); ++level) {
      if (i == 0) whole.emplace_back(codes[level]);
      if (i > 0) whole[level] = torch::cat({whole[level], codes[level]});
    }
  }
  return whole;
}

}  // namespace elbo::tiny_codecs
