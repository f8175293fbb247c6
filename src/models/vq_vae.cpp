#include "elbo/models/vq_vae.h"

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/math/precision.h"
#include "elbo/models/observe.h"
#include "elbo/quantizers/tokens.h"

namespace elbo {
namespace {

const FieldSpec& quantized_field(const DataSpec& spec, const std::string& name) {
  const auto found = spec.find(name);
  if (found == spec.end()) {
    throw ConfigError(text("model 'vq_vae' reads the field ", name, ", which this data set does not have"));
  }
  return found->second;
}

/// "512", "8x8x4" or "integers".
std::string sizes_text(const CodeSpace& space) {
  if (!space.bounded()) return text(space.groups(), " integers");
  std::vector<std::string> sizes;
  for (const auto size : space.sizes) sizes.push_back(std::to_string(size));
  return join(sizes, "x");
}

}  // namespace

VqVae::VqVae(const VqVaeConfig& config, const ModelContext& context)
    : quantizer_name_(config.quantizer.type()), target_(config.target) {
  const auto& x = quantized_field(context.spec, "x");
  const auto& target = quantized_field(context.spec, target_);
  if (x.kind == ValueKind::table) table_.emplace(x.columns);
  const auto input_shape = table_ ? Shape{table_->size()} : x.shape;
  encoder_ = register_module("encoder", config.encoder.make({.input_shape = input_shape, .init = context.init}));
  const auto map = encoder_->map_shape();
  is_map_ = map.size() == 3;
  grid_ = is_map_ ? Shape{map[1], map[2]} : Shape{config.tokens};

  quantizer_ = config.quantizer.make({.init = context.init, .device = context.device});
  const auto space = quantizer_->code_space();
  const auto head = is_map_
                        ? LayerOptions{.kind = LayerKind::conv, .in = map[0], .out = space.input_size}
                        : LayerOptions{.in = encoder_->num_features(), .out = c10::multiply_integers(grid_) * space.input_size};
  head_ = register_module("head", std::make_shared<Layer>(head, context.init));
  register_module("quantizer", quantizer_);
  likelihood_ = register_module("likelihood", config.likelihood.make({.field = target}));
  decoder_ = register_module("decoder", config.decoder.make({.latent_size = latent_size(),
                                                             .latent_map = latent_map(),
                                                             .output_shape = likelihood_->parameter_shape(),
                                                             .init = context.init}));
}

std::string VqVae::summary() const {
  std::vector<std::string> extents;
  for (const auto extent : grid_) extents.push_back(std::to_string(extent));
  return text(encoder_->summary(), " | ", join(extents, "x"), " codes of ", quantizer_name_, " ",
              sizes_text(quantizer_->code_space()), " | ", decoder_->summary());
}

Tensor VqVae::tokens_of(const Batch& batch) {
  const auto& x = batch.fields.at("x");
  const auto features = encoder_->forward(table_ ? (*table_)(x) : x.value);
  if (!is_map_) return head_->forward(features).reshape({features.size(0), grid_[0], -1});
  return to_tokens(head_->forward(features.reshape({features.size(0), -1, grid_[0], grid_[1]})));
}

std::vector<CodeLevel> VqVae::quantize(const Batch& batch, Step& step) {
  const auto tokens = tokens_of(batch);
  return {{.tokens = tokens.detach(), .quantization = quantizer_->forward(tokens, step)}};
}

std::vector<Tensor> VqVae::codes(const Batch& batch) { return {quantizer_->encode(tokens_of(batch))}; }

Shape VqVae::latent_map() const { return is_map_ ? Shape{quantizer_->code_space().output_size, grid_[0], grid_[1]} : Shape{}; }

int64_t VqVae::latent_size() const { return c10::multiply_integers(grid_) * quantizer_->code_space().output_size; }

Tensor VqVae::flat(const Tensor& value) const { return (is_map_ ? to_map(value) : value).flatten(1); }

Tensor VqVae::decoded_parameters(const Tensor& latents) { return full_precision(decoder_->forward(latents)); }

std::vector<Observation> VqVae::decode(const std::vector<Tensor>& values, const Batch& batch) {
  return {observe(*likelihood_, decoded_parameters(flat(values.at(0))), batch.fields.at(target_))};
}

DistributionPtr VqVae::decode_codes(const Tensor& indices) { return decode_latents(latents_of(indices)); }

Tensor VqVae::latents_of(const Tensor& indices) { return flat(quantizer_->decode(indices)); }

DistributionPtr VqVae::decode_latents(const Tensor& latents) { return likelihood_->forward(decoded_parameters(latents)); }

Tensor VqVae::sample(const Batch& given, double /*temperature*/, Noise& noise) {
  return decode_codes(random_codes(quantizer_->code_space(), given.size(), grid_, noise))->mean();
}

std::string VqVae::sampled_from() const { return std::string(kRandomCodes); }

Tensor VqVae::reconstruct(const Batch& batch) { return decode_codes(codes(batch).at(0))->mean(); }

void VqVae::initialise(const Batch& batch, Step& step) { quantizer_->initialise(tokens_of(batch), step); }

std::shared_ptr<Model> make_vq_vae(const VqVaeConfig& config, const ModelContext& context) {
  return std::make_shared<VqVae>(config, context);
}

}  // namespace elbo
