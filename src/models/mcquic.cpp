#include "elbo/models/mcquic.h"

#include <algorithm>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/math/precision.h"
#include "elbo/models/observe.h"
#include "elbo/quantizers/mcquic.h"
#include "elbo/quantizers/tokens.h"

namespace elbo {
namespace {

const FieldSpec& compressed_field(const DataSpec& spec) {
  const auto found = spec.find("x");
  if (found == spec.end()) throw ConfigError("model 'mcquic' reads the field x, which this data set does not have");
  if (found->second.shape.size() == 3) return found->second;
  throw ConfigError("model 'mcquic' reads images, but x has shape " + shape_text(found->second.shape) + "; use 'vq_vae'");
}

MapBlockPtr codec_encoder(const McquicConfig& config, int64_t from, Stream& init) {
  const auto C = config.channels;
  if (config.halvings == 0) return in_sequence({make_conv_block(from, C, 3, init), make_residual_block(C, init)});
  std::vector<MapBlockPtr> blocks;
  for (int64_t i = 0; i < config.halvings; ++i) {
    blocks.push_back(make_halving_block(i == 0 ? from : C, C, init));
    blocks.push_back(make_residual_block(C, init));
  }
  blocks.push_back(make_gated_block(C, init));
  return in_sequence(std::move(blocks));
}

/// The last of them is a convolution.
std::vector<MapBlockPtr> codec_decoder(const McquicConfig& config, int64_t to, Stream& init) {
  const auto C = config.channels;
  if (config.halvings == 0) return {make_residual_block(C, init), make_conv_block(C, to, 3, init)};
  std::vector<MapBlockPtr> blocks = {make_gated_block(C, init)};
  for (int64_t i = 0; i < config.halvings; ++i) {
    blocks.push_back(make_residual_block(C, init));
    const bool last = i + 1 == config.halvings;
    blocks.push_back(last ? make_shuffling_conv(C, to, init) : make_doubling_block(C, C, init));
  }
  return blocks;
}

}  // namespace

QuantizerChoice mixture_codes(int64_t codes) {
  QuantizerChoice choice{quantizers, "mcquic"};
  choice.set("mcquic", McquicQuantizerConfig{.codes = codes});
  return choice;
}

Mcquic::Mcquic(const McquicConfig& config, const ModelContext& context) {
  const auto& x = compressed_field(context.spec);
  image_ = padded_ = x.shape;
  const int64_t factor = int64_t{1} << (config.halvings + static_cast<int64_t>(config.levels.size()));
  for (const size_t side : {1, 2}) padded_[side] = (image_[side] + factor - 1) / factor * factor;
  encoder_ = register_module("encoder", codec_encoder(config, image_[0], context.init));
  for (size_t l = 0; l < config.levels.size(); ++l) add_level(config, l, context);
  likelihood_ = register_module("likelihood", config.likelihood.make({.field = x}));
  auto blocks = codec_decoder(config, likelihood_->parameter_shape()[0], context.init);
  last_ = text(blocks.size() - 1, ".conv.weight");
  decoder_ = register_module("decoder", in_sequence(std::move(blocks)));
}

void Mcquic::add_level(const McquicConfig& config, size_t l, const ModelContext& context) {
  const auto C = config.channels;
  auto& init = context.init;
  const auto& choice = config.levels[l].quantizer;
  const int64_t factor = int64_t{1} << (config.halvings + static_cast<int64_t>(l) + 1);
  const bool deepest = l + 1 == config.levels.size();
  Level level{.name = text("level_", l + 1),
              .grid = {padded_[1] / factor, padded_[2] / factor},
              .quantizer = choice.make({.init = init, .device = context.device})};
  const auto space = level.quantizer->code_space();
  if (space.input_size != C || space.output_size != C) {
    throw ConfigError(text("model.levels.", l, ".quantizer: ", choice.str(), " reads tokens of ", space.input_size,
                           " numbers and gives ", space.output_size, ", the maps have model.channels: ", C,
                           "; make them equal (code_size)"));
  }
  level.words = text(level.grid[0], "x", level.grid[1], " codes of ", choice.type());
  level.stage = in_sequence({make_halving_block(C, C, init), make_residual_block(C, init), make_gated_block(C, init)});
  level.query = in_sequence({make_residual_block(C, init), make_conv_block(C, C, 1, init)});
  level.read = in_sequence({make_conv_block(C, C, 3, init), make_residual_block(C, init)});
  level.restore = in_sequence({make_gated_block(C, init), make_residual_block(C, init), make_doubling_block(C, C, init)});
  const auto module = register_module(level.name, std::make_shared<torch::nn::Module>());
  module->register_module("stage", level.stage);
  module->register_module("query", level.query);
  module->register_module("quantizer", level.quantizer);
  if (!deepest) {
    level.carry = in_sequence({make_residual_block(C, init), make_conv_block(C, C, 3, init)});
    level.side = in_sequence({make_residual_block(C, init), make_conv_block(C, C, 3, init)});
    module->register_module("carry", level.carry);
    module->register_module("side", level.side);
  }
  module->register_module("read", level.read);
  module->register_module("restore", level.restore);
  levels_.push_back(std::move(level));
}

std::string Mcquic::summary() const {
  std::vector<std::string> words;
  for (const auto& level : levels_) words.push_back(level.name + " " + level.words);
  return text(image_[0], "x", image_[1], "x", image_[2], " | ", join(words, ", "));
}

void Mcquic::descend(const Batch& batch, const std::function<Tensor(Level&, const Tensor&)>& value_of) {
  auto left = batch.at("x");
  check_shape(left, joined({kAnyExtent}, image_), "input of mcquic");
  if (padded_ != image_) left = torch::replication_pad2d(left, {0, padded_[2] - image_[2], 0, padded_[1] - image_[1]});
  left = encoder_->forward(left);
  for (auto& level : levels_) {
    const auto z = level.stage->forward(left);
    const auto value = value_of(level, to_tokens(level.query->forward(z)));
    if (level.carry) left = level.carry->forward(z) - to_map(value);
  }
}

std::vector<CodeLevel> Mcquic::quantize(const Batch& batch, Step& step) {
  std::vector<CodeLevel> found;
  descend(batch, [&](Level& level, const Tensor& tokens) {
    found.push_back({.name = level.name, .tokens = tokens.detach(), .quantization = level.quantizer->forward(tokens, step)});
    return found.back().quantization.value;
  });
  std::reverse(found.begin(), found.end());
  return found;
}

std::vector<Tensor> Mcquic::codes(const Batch& batch) {
  std::vector<Tensor> found;
  descend(batch, [&](Level& level, const Tensor& tokens) {
    found.push_back(level.quantizer->encode(tokens));
    return level.quantizer->decode(found.back());
  });
  std::reverse(found.begin(), found.end());
  return found;
}

void Mcquic::initialise(const Batch& batch, Step& step) {
  descend(batch, [&](Level& level, const Tensor& tokens) {
    level.quantizer->initialise(tokens, step);
    return level.quantizer->decode(level.quantizer->encode(tokens));
  });
}

Tensor Mcquic::decoded_parameters(const std::vector<Tensor>& values) {
  Tensor h;
  for (size_t i = 0; i < levels_.size(); ++i) {
    auto& level = levels_[levels_.size() - 1 - i];
    const auto read = level.read->forward(to_map(values.at(i)));
    h = level.restore->forward(h.defined() ? read + level.side->forward(h) : read);
  }
  const auto whole = decoder_->forward(h);
  return full_precision(whole.narrow(2, 0, image_[1]).narrow(3, 0, image_[2])).contiguous();
}

std::vector<Observation> Mcquic::decode(const std::vector<Tensor>& values, const Batch& batch) {
  return {observe(*likelihood_, decoded_parameters(values), batch.fields.at("x"))};
}

DistributionPtr Mcquic::decode_codes(const std::vector<Tensor>& indices) {
  std::vector<Tensor> values;
  for (size_t i = 0; i < levels_.size(); ++i) {
    values.push_back(levels_[levels_.size() - 1 - i].quantizer->decode(indices.at(i)));
  }
  return likelihood_->forward(decoded_parameters(values));
}

Tensor Mcquic::sample(const Batch& given, double /*temperature*/, Noise& noise) {
  std::vector<Tensor> indices;
  for (auto level = levels_.rbegin(); level != levels_.rend(); ++level) {
    indices.push_back(random_codes(level->quantizer->code_space(), given.size(), level->grid, noise));
  }
  return decode_codes(indices)->mean();
}

std::string Mcquic::sampled_from() const { return std::string(kRandomCodes); }

Tensor Mcquic::reconstruct(const Batch& batch) { return decode_codes(codes(batch))->mean(); }

std::vector<Quantizer*> Mcquic::quantizers() {
  std::vector<Quantizer*> found;
  for (auto level = levels_.rbegin(); level != levels_.rend(); ++level) found.push_back(level->quantizer.get());
  return found;
}

Tensor Mcquic::output_weight() { return decoder_->named_parameters()[last_]; }

std::shared_ptr<Model> make_mcquic(const McquicConfig& config, const ModelContext& context) {
  return std::make_shared<Mcquic>(config, context);
}

}  // namespace elbo
