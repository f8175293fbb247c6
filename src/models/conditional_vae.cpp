#include "elbo/models/conditional_vae.h"

#include "elbo/base/error.h"
#include "elbo/distributions/normal.h"
#include "elbo/distributions/normal_posterior.h"
#include "elbo/math/precision.h"
#include "elbo/models/observe.h"

namespace elbo {
namespace {

const FieldSpec& field_of(const DataSpec& spec, const std::string& name) {
  const auto found = spec.find(name);
  if (found == spec.end()) {
    throw ConfigError("model 'conditional_vae' reads the field " + name + ", which this data set does not have");
  }
  if (found->second.may_be_missing) {
    throw ConfigError("model 'conditional_vae' needs the field " + name +
                      " in every row, and this data set's rows may lack it (data.missing); take model multimodal_vae");
  }
  return found->second;
}

int64_t num_classes_of(const FieldSpec& label) {
  if (label.kind == ValueKind::category && label.shape.empty() && label.num_classes > 0) return label.num_classes;
  throw ConfigError("model 'conditional_vae': the field label must be one class an example, of a known number of classes");
}

bool is_picture(const FieldSpec& x) { return x.shape.size() == 3 && x.kind != ValueKind::category; }

/// What the encoder reads: x with y beside it.
Shape input_shape(const FieldSpec& x, int64_t num_classes, const std::optional<TableFeatures>& table) {
  if (table) return {table->size() + num_classes};
  if (is_picture(x)) return {x.shape[0] + 1, x.shape[1], x.shape[2]};
  if (x.shape.size() == 1 && x.kind != ValueKind::category) return {x.shape[0] + num_classes};
  throw ConfigError("model 'conditional_vae': x of shape " + shape_text(x.shape) +
                    " is no picture [C, H, W], no vector [D] of numbers and no table, so the label has no place beside it");
}

}  // namespace

ConditionalVae::ConditionalVae(const ConditionalVaeConfig& config, const ModelContext& context)
    : latent_size_(config.latent_size), num_classes_(num_classes_of(field_of(context.spec, "label"))) {
  const auto& x = field_of(context.spec, "x");
  if (x.kind == ValueKind::table) table_.emplace(x.columns);
  const auto shape = input_shape(x, num_classes_, table_);
  encoder_ = register_module("encoder", config.encoder.make({.input_shape = shape, .init = context.init}));
  posterior_ = register_module(
      "posterior",
      config.posterior.make({.num_features = encoder_->num_features(), .latent_size = latent_size_, .init = context.init}));
  if (config.prior == ConditionalPrior::learned) {
    prior_ = register_module(
        "prior", make_normal_posterior({}, {.num_features = num_classes_, .latent_size = latent_size_, .init = context.init}));
  }
  likelihood_ = register_module("likelihood", config.likelihood.make({.field = x}));
  decoder_ = register_module("decoder", config.decoder.make({.latent_size = latent_size_ + num_classes_,
                                                             .output_shape = likelihood_->parameter_shape(),
                                                             .init = context.init}));
  if (!is_picture(x)) return;
  const DefaultGeneratorGuard guard;
  plane_ = register_module("condition", torch::nn::Linear(num_classes_, x.shape[1] * x.shape[2]));
  init_module(*plane_, Init::pytorch, context.init);
}

std::string ConditionalVae::summary() const {
  return encoder_->summary() + " | " + std::to_string(latent_size_) + " + " + std::to_string(num_classes_) + " classes | " +
         decoder_->summary();
}

Tensor ConditionalVae::condition(const Batch& batch) const {
  const auto& label = batch.at("label");
  const auto classes = torch::arange(num_classes_, label.options());
  return (label.unsqueeze(-1) == classes).to(decoder_->parameters().front().scalar_type());
}

DistributionPtr ConditionalVae::posterior_of(const Batch& batch) {
  const auto y = condition(batch);
  const auto& x = batch.fields.at("x");
  const auto numbers = table_ ? (*table_)(x) : x.value;
  const auto beside = plane_ ? plane_->forward(y).view({-1, 1, numbers.size(-2), numbers.size(-1)}) : y;
  return posterior_->forward(encoder_->forward(torch::cat({numbers, beside}, 1)));
}

DistributionPtr ConditionalVae::prior_of(const Tensor& y) {
  if (prior_) return prior_->forward(y);
  return std::make_shared<StandardNormal>(Shape{y.size(0)}, Shape{latent_size_}, y.options());
}

Latents ConditionalVae::infer(const Batch& batch, int64_t K, Noise& noise) {
  const auto q = posterior_of(batch);
  return {.layers = {{.name = "z", .q = q, .p = prior_of(condition(batch)), .z = q->rsample({K, batch.size()}, noise)}}};
}

Latents ConditionalVae::prior(const Batch& batch, int64_t K, Noise& noise) {
  const auto p = prior_of(condition(batch));
  return {.layers = {{.name = "z", .q = p, .p = p, .z = p->sample({K, batch.size()}, noise)}}};
}

Tensor ConditionalVae::decoded_parameters(const Tensor& z, const Tensor& y) {
  const auto leading = z.sizes().slice(0, z.dim() - 1);
  const auto both = torch::cat({z, y.expand(joined(leading, {num_classes_}))}, -1);
  const auto parameters = full_precision(decoder_->forward(both.reshape({-1, latent_size_ + num_classes_})));
  return parameters.reshape(joined(leading, likelihood_->parameter_shape()));
}

std::vector<Observation> ConditionalVae::decode(const Latents& latents, const Batch& batch) {
  return {observe(*likelihood_, decoded_parameters(latents.layers.back().z, condition(batch)), batch.fields.at("x"))};
}

std::vector<Tensor> ConditionalVae::inference_parameters() {
  auto parameters = encoder_->parameters();
  for (auto& parameter : posterior_->parameters()) parameters.push_back(parameter);
  if (plane_) {
    for (auto& parameter : plane_->parameters()) parameters.push_back(parameter);
  }
  return parameters;
}

Tensor ConditionalVae::sample(const Batch& given, double temperature, Noise& noise) {
  const auto p = prior_of(condition(given));
  const auto mean = p->mean();
  return decode_code(mean + temperature * (p->sample({given.size()}, noise) - mean), given);
}

Tensor ConditionalVae::reconstruct(const Batch& batch) { return decode_code(encode(batch), batch); }

Tensor ConditionalVae::encode(const Batch& batch) { return posterior_of(batch)->mean(); }

Tensor ConditionalVae::decode_code(const Tensor& z, const Batch& given) {
  return likelihood_->forward(decoded_parameters(z, condition(given)))->mean();
}

std::shared_ptr<Model> make_conditional_vae(const ConditionalVaeConfig& config, const ModelContext& context) {
  return std::make_shared<ConditionalVae>(config, context);
}

}  // namespace elbo
