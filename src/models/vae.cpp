#include "elbo/models/vae.h"

#include "elbo/base/error.h"
#include "elbo/math/precision.h"
#include "elbo/models/observe.h"

namespace elbo {
namespace {

const FieldSpec& field_x(const DataSpec& spec) {
  const auto found = spec.find("x");
  if (found == spec.end()) throw ConfigError("model 'vae' reads the field x, which this data set does not have");
  if (found->second.may_be_missing) {
    throw ConfigError(
        "model 'vae' needs the field x in every row, and this data set's rows may lack it (data.missing); take "
        "model multimodal_vae");
  }
  return found->second;
}

}  // namespace

Vae::Vae(const VaeConfig& config, const ModelContext& context) : latent_size_(config.latent_size) {
  const auto& x = field_x(context.spec);
  if (x.kind == ValueKind::table) table_.emplace(x.columns);
  const auto input_shape = table_ ? Shape{table_->size()} : x.shape;
  encoder_ = register_module("encoder", config.encoder.make({.input_shape = input_shape, .init = context.init}));
  posterior_ = register_module(
      "posterior",
      config.posterior.make({.num_features = encoder_->num_features(), .latent_size = latent_size_, .init = context.init}));
  prior_ = register_module("prior", config.prior.make({.latent_size = latent_size_, .init = context.init}));
  likelihood_ = register_module("likelihood", config.likelihood.make({.field = x}));
  decoder_ = register_module(
      "decoder",
      config.decoder.make({.latent_size = latent_size_, .output_shape = likelihood_->parameter_shape(), .init = context.init}));
  if (config.output_bias == OutputBias::data_mean && context.training_mean.defined()) {
    const auto bias = likelihood_->bias_for_mean(context.training_mean);
    if (!bias.defined()) {
      throw ConfigError("model.output_bias: data_mean: likelihood '" + config.likelihood.type() +
                        "' has no bias for a mean, choose output_bias: init");
    }
    set_output_bias(*decoder_, bias);
  }
}

std::string Vae::summary() const {
  return encoder_->summary() + " | " + std::to_string(latent_size_) + " | " + decoder_->summary();
}

DistributionPtr Vae::posterior_of(const Field& x) {
  return posterior_->forward(encoder_->forward(table_ ? (*table_)(x) : x.value));
}

DistributionPtr Vae::infer(const Tensor& x) { return posterior_of({.value = x}); }

Latents Vae::infer(const Batch& batch, int64_t K, Noise& noise) {
  const auto q = posterior_of(batch.fields.at("x"));
  const auto B = batch.size();
  return {.layers = {{.name = "z", .q = q, .p = prior_->forward(B), .z = q->rsample({K, B}, noise)}}};
}

Latents Vae::prior(const Batch& batch, int64_t K, Noise& noise) {
  const auto B = batch.size();
  const auto p = prior_->forward(B);
  return {.layers = {{.name = "z", .q = p, .p = p, .z = p->sample({K, B}, noise)}}};
}

Tensor Vae::decoded_parameters(const Tensor& z) {
  const auto leading = z.sizes().slice(0, z.dim() - 1);
  const auto parameters = full_precision(decoder_->forward(z.reshape({-1, latent_size_})));
  return parameters.reshape(joined(leading, likelihood_->parameter_shape()));
}

DistributionPtr Vae::decode(const Tensor& z) { return likelihood_->forward(decoded_parameters(z)); }

std::vector<Observation> Vae::decode(const Latents& latents, const Batch& batch) {
  return {observe(*likelihood_, decoded_parameters(latents.layers.back().z), batch.fields.at("x"))};
}

std::vector<Tensor> Vae::inference_parameters() {
  auto parameters = encoder_->parameters();
  for (auto& parameter : posterior_->parameters()) parameters.push_back(parameter);
  return parameters;
}

Tensor Vae::sample(const Batch& given, double temperature, Noise& noise) {
  const auto count = given.size();
  const auto p = prior_->forward(count);
  const auto mean = p->mean();
  const auto z = mean + temperature * (p->sample({count}, noise) - mean);
  return decode(z)->mean();
}

Tensor Vae::reconstruct(const Batch& batch) { return decode(encode(batch))->mean(); }

Tensor Vae::encode(const Batch& batch) { return posterior_of(batch.fields.at("x"))->mean(); }

Tensor Vae::decode_code(const Tensor& z, const Batch&) { return decode(z)->mean(); }

std::shared_ptr<Model> make_vae(const VaeConfig& config, const ModelContext& context) {
  return std::make_shared<Vae>(config, context);
}

}  // namespace elbo
