#include "elbo/models/vq_vae_2.h"

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/math/precision.h"
#include "elbo/models/observe.h"
#include "elbo/nn/residual_conv.h"
#include "elbo/quantizers/tokens.h"

namespace elbo {
namespace {

const FieldSpec& image_field(const DataSpec& spec) {
  const auto found = spec.find("x");
  if (found == spec.end()) throw ConfigError("model 'vq_vae_2' reads the field x, which this data set does not have");
  if (found->second.shape.size() != 3) {
    throw ConfigError("model 'vq_vae_2' reads images, but x has shape " + shape_text(found->second.shape) + "; use 'vq_vae'");
  }
  return found->second;
}

ResidualConvConfig two_blocks_of_64(std::vector<int64_t> channels) {
  return {.channels = std::move(channels), .residual_channels = 64};
}

/// How many times a map must double to have the size of another.
int64_t doublings(const Shape& from, const Shape& to, const std::string& level) {
  int64_t count = 0;
  auto h = from[1], w = from[2];
  for (; h < to[1] && w < to[2]; ++count) h *= 2, w *= 2;
  if (h == to[1] && w == to[2]) return count;
  throw ConfigError("model." + level + ".encoder: leaves a map of " + shape_text(from) +
                    ", which doubling does not bring to the " + shape_text(to) +
                    " of the bottom level; use sizes that are a power of two apart");
}

std::vector<std::string> level_names(size_t middle) {
  std::vector<std::string> names = {"bottom"};
  for (size_t i = 1; i <= middle; ++i) names.push_back(middle == 1 ? "middle" : "middle_" + std::to_string(i));
  names.emplace_back("top");
  return names;
}

}  // namespace

EncoderChoice halving_encoder(std::vector<int64_t> channels) {
  EncoderChoice choice{encoders, "residual_conv"};
  choice.set("residual_conv", two_blocks_of_64(std::move(channels)));
  return choice;
}

DecoderChoice doubling_decoder(std::vector<int64_t> channels) {
  DecoderChoice choice{decoders, "residual_conv"};
  choice.set("residual_conv", two_blocks_of_64(std::move(channels)));
  return choice;
}

VqVae2::VqVae2(const VqVae2Config& config, const ModelContext& context) {
  const auto& x = image_field(context.spec);
  std::vector<const VqVae2LevelConfig*> configs = {&config.bottom};
  for (const auto& middle : config.middle) configs.push_back(&middle);
  configs.push_back(&config.top);
  const auto names = level_names(config.middle.size());
  auto input = x.shape;
  for (size_t i = 0; i < configs.size(); ++i) {
    Level level{.name = names[i],
                .encoder = configs[i]->encoder.make({.input_shape = input, .init = context.init}),
                .quantizer = configs[i]->quantizer.make({.init = context.init, .device = context.device})};
    level.map = level.encoder->map_shape();
    if (level.map.size() != 3) {
      throw ConfigError("model." + level.name + ".encoder: '" + configs[i]->encoder.type() +
                        "' leaves no map of places; use one that does (residual_conv)");
    }
    level.words = text(level.map[1], "x", level.map[2], " codes of ", configs[i]->quantizer.type());
    input = level.map;
    levels_.push_back(std::move(level));
  }
  likelihood_ = register_module("likelihood", config.likelihood.make({.field = x}));
  connect(configs, context.init);
}

void VqVae2::connect(const std::vector<const VqVae2LevelConfig*>& configs, Stream& init) {
  int64_t all_channels = 0;
  for (const auto& level : levels_) all_channels += level.quantizer->code_space().output_size;
  for (size_t i = 0; i < levels_.size(); ++i) {
    auto& level = levels_[i];
    const auto space = level.quantizer->code_space();
    const auto told = i + 1 < levels_.size() ? levels_[i + 1].quantizer->code_space().output_size : 0;
    const LayerOptions head = {.kind = LayerKind::conv, .in = level.map[0] + told, .out = space.input_size};
    level.head = std::make_shared<Layer>(head, init);

    const auto channels = i == 0 ? all_channels : space.output_size;
    level.decoder =
        configs[i]->decoder.make({.latent_size = channels * level.map[1] * level.map[2],
                                  .latent_map = {channels, level.map[1], level.map[2]},
                                  .output_shape = i == 0 ? likelihood_->parameter_shape()
                                                         : Shape{space.output_size, levels_[i - 1].map[1], levels_[i - 1].map[2]},
                                  .init = init});
    const LayerOptions doubling = {.kind = LayerKind::transposed_conv,
                                   .in = space.output_size,
                                   .out = space.output_size,
                                   .kernel = 4,
                                   .stride = 2,
                                   .padding = 1};
    for (auto n = doublings(level.map, levels_[0].map, level.name); n > 0; --n) {
      level.up.push_back(std::make_shared<Layer>(doubling, init));
    }

    const auto module = register_module(level.name, std::make_shared<torch::nn::Module>());
    module->register_module("encoder", level.encoder);
    module->register_module("head", level.head);
    module->register_module("quantizer", level.quantizer);
    module->register_module("decoder", level.decoder);
    register_list(*module, "up", level.up);
  }
}

std::string VqVae2::summary() const {
  std::vector<std::string> words;
  for (auto level = levels_.rbegin(); level != levels_.rend(); ++level) words.push_back(level->name + " " + level->words);
  return levels_.front().encoder->summary() + " | " + join(words, ", ") + " | " + levels_.front().decoder->summary();
}

void VqVae2::descend(const Batch& batch, const std::function<Tensor(Level&, const Tensor&)>& value_of) {
  std::vector<Tensor> features;  // bottom first
  auto input = batch.at("x");
  for (auto& level : levels_) {
    input = level.encoder->forward(input).reshape(joined({input.size(0)}, level.map));
    features.push_back(input);
  }
  Tensor told;
  for (size_t i = levels_.size(); i-- > 0;) {
    auto& level = levels_[i];
    const auto heard = told.defined() ? torch::cat({told, features[i]}, 1) : features[i];
    const auto value = value_of(level, to_tokens(level.head->forward(heard)));
    if (i > 0) told = level.decoder->forward(to_map(value).flatten(1));
  }
}

std::vector<CodeLevel> VqVae2::quantize(const Batch& batch, Step& step) {
  std::vector<CodeLevel> found;
  descend(batch, [&](Level& level, const Tensor& tokens) {
    found.push_back({.name = level.name, .tokens = tokens.detach(), .quantization = level.quantizer->forward(tokens, step)});
    return found.back().quantization.value;
  });
  return found;
}

std::vector<Tensor> VqVae2::codes(const Batch& batch) {
  std::vector<Tensor> found;
  descend(batch, [&](Level& level, const Tensor& tokens) {
    found.push_back(level.quantizer->encode(tokens));
    return level.quantizer->decode(found.back());
  });
  return found;
}

void VqVae2::initialise(const Batch& batch, Step& step) {
  descend(batch, [&](Level& level, const Tensor& tokens) {
    level.quantizer->initialise(tokens, step);
    return level.quantizer->decode(level.quantizer->encode(tokens));
  });
}

Tensor VqVae2::decoded_parameters(const std::vector<Tensor>& values) {
  std::vector<Tensor> maps;
  for (size_t i = 0; i < levels_.size(); ++i) {
    auto map = to_map(values.at(i));
    const auto& up = levels_[levels_.size() - 1 - i].up;
    for (size_t n = 0; n < up.size(); ++n) map = up[n]->forward(n > 0 ? torch::relu(map) : map);
    maps.push_back(map);
  }
  return full_precision(levels_.front().decoder->forward(torch::cat(maps, 1).flatten(1)));
}

std::vector<Observation> VqVae2::decode(const std::vector<Tensor>& values, const Batch& batch) {
  return {observe(*likelihood_, decoded_parameters(values), batch.fields.at("x"))};
}

DistributionPtr VqVae2::decode_codes(const std::vector<Tensor>& indices) {
  std::vector<Tensor> values;
  for (size_t i = 0; i < levels_.size(); ++i) {
    values.push_back(levels_[levels_.size() - 1 - i].quantizer->decode(indices.at(i)));
  }
  return likelihood_->forward(decoded_parameters(values));
}

Tensor VqVae2::sample(const Batch& given, double /*temperature*/, Noise& noise) {
  std::vector<Tensor> indices;
  for (auto level = levels_.rbegin(); level != levels_.rend(); ++level) {
    indices.push_back(random_codes(level->quantizer->code_space(), given.size(), {level->map[1], level->map[2]}, noise));
  }
  return decode_codes(indices)->mean();
}

std::string VqVae2::sampled_from() const { return std::string(kRandomCodes); }

Tensor VqVae2::reconstruct(const Batch& batch) { return decode_codes(codes(batch))->mean(); }

std::vector<Quantizer*> VqVae2::quantizers() {
  std::vector<Quantizer*> found;
  for (auto level = levels_.rbegin(); level != levels_.rend(); ++level) found.push_back(level->quantizer.get());
  return found;
}

std::shared_ptr<Model> make_vq_vae_2(const VqVae2Config& config, const ModelContext& context) {
  return std::make_shared<VqVae2>(config, context);
}

}  // namespace elbo
