#include "elbo/models/multimodal_vae.h"

#include <algorithm>
#include <cmath>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/distributions/normal.h"
#include "elbo/math/precision.h"
#include "elbo/models/observe.h"

namespace elbo {

/// Everything that belongs to one modality; null where its aggregation or size has no use for it.
struct MultimodalVae::Modality {
  Modality(std::string own_name, std::string field_name, const FieldSpec& field_spec)
      : name(std::move(own_name)), field(std::move(field_name)), spec(field_spec), input(field_spec) {}

  std::string name;
  std::string field;
  FieldSpec spec;
  FieldInput input;
  int64_t private_size = 0;
  double weight = 1;
  std::shared_ptr<Encoder> encoder = nullptr;
  std::shared_ptr<Posterior> posterior = nullptr;
  std::shared_ptr<Posterior> private_posterior = nullptr;
  std::shared_ptr<Prior> private_prior = nullptr;
  std::shared_ptr<Encoder> joint_encoder = nullptr;
  std::shared_ptr<Likelihood> likelihood = nullptr;
  std::shared_ptr<Decoder> decoder = nullptr;

  /// Of the numbers that encoders are given where the data hold classes.
  at::ScalarType dtype() const { return decoder->parameters().front().scalar_type(); }
};

namespace {

const FieldSpec& spec_of(const DataSpec& spec, const std::string& modality, const std::string& field) {
  if (const auto found = spec.find(field); found != spec.end()) return found->second;
  std::vector<std::string> names;
  for (const auto& [name, ignored] : spec) names.push_back(name);
  throw ConfigError(text("model.modalities.", modality, " reads the field ", field, ", which this data set does not have",
                         did_you_mean(field, names, "it has " + join(names, ", "))));
}

double num_numbers(const FieldSpec& spec) { return static_cast<double>(c10::multiply_integers(spec.shape)); }

std::string private_layer(const std::string& modality) { return "private." + modality; }

bool contains(const Subset& names, std::string_view name) { return std::find(names.begin(), names.end(), name) != names.end(); }

const Tensor& z_of(const Latents& latents, const std::string& layer) {
  for (const auto& latent : latents.layers) {
    if (latent.name == layer) return latent.z;
  }
  throw UsageError("these latents have no layer '" + layer + "'");
}

}  // namespace

void MultimodalVaeConfig::check(Relations& relations) const {
  if (modalities.empty()) {
    relations.problem("modalities", "is empty, expected a modality such as x: {likelihood: {type: bernoulli}}");
  }
  for (const auto& [name, modality] : modalities) {
    if (name.empty() || name == kJointExpert || name.find_first_of(". ") != std::string::npos) {
      relations.problem("modalities", text("'", name, "' can't be a modality's name: no '.', no space, not 'joint'"));
    }
  }
}

MultimodalVae::MultimodalVae(const MultimodalVaeConfig& config, const ModelContext& context) : latent_size_(config.latent_size) {
  double largest = 0;
  for (const auto& [name, modality] : config.modalities) {
    names_.push_back(name);
    const auto field = modality.field.empty() ? name : modality.field;
    parts_[name] = std::make_shared<Modality>(name, field, spec_of(context.spec, name, field));
    largest = std::max(largest, num_numbers(parts_[name]->spec));
  }
  if (names_.empty()) throw ConfigError("model.modalities is empty, expected at least one modality");
  aggregator_ = config.aggregation.make({.modalities = names_});
  if (aggregator_->prior_expert() != PriorExpert::none && config.prior.type() != "standard_normal") {
    throw ConfigError(text("model.aggregation.prior_expert: the expert is N(0, I), but the prior is '", config.prior.type(),
                           "'; choose prior_expert: none, or prior: {type: standard_normal}"));
  }
  const auto sources = aggregator_->sources();
  for (const auto& name : names_) {
    const bool needed = aggregator_->has_joint() || (aggregator_->name() == "unimodal" && contains(sources, name));
    if (!needed || !parts_[name]->spec.may_be_missing) continue;
    throw ConfigError(text("model.aggregation ", aggregator_->name(), " encodes every row's ", name,
                           ", and this data set's rows may lack it (data.missing); choose poe, moe or mopoe"));
  }
  const auto make_prior = [&](int64_t size) { return config.prior.make({.latent_size = size, .init = context.init}); };
  const auto make_posterior = [&](const Encoder& encoder, int64_t size) {
    return config.posterior.make({.num_features = encoder.num_features(), .latent_size = size, .init = context.init});
  };
  const auto holder = [&](const std::string& name) { return register_module(name, std::make_shared<torch::nn::Module>(name)); };
  const auto own_encoders = holder("encoder"), posteriors_of = holder("posterior"),
             private_posteriors = holder("private_posterior"), private_priors = holder("private_prior"),
             joint_encoders = holder("joint_encoder"), likelihoods_of = holder("likelihood"), decoders_of = holder("decoder");
  int64_t num_joint_features = 0;
  for (const auto& name : names_) {
    auto& part = *parts_[name];
    const auto& own = config.modalities.at(name);
    const auto make_encoder = [&] { return own.encoder.make({.input_shape = part.input.shape(), .init = context.init}); };
    part.private_size = own.private_size.value_or(config.private_size);
    part.weight = std::holds_alternative<double>(own.weight) ? std::get<double>(own.weight) : largest / num_numbers(part.spec);
    const bool is_source = contains(sources, name);
    if (is_source || part.private_size > 0) part.encoder = own_encoders->register_module(name, make_encoder());
    if (is_source) part.posterior = posteriors_of->register_module(name, make_posterior(*part.encoder, latent_size_));
    if (part.private_size > 0) {
      part.private_posterior = private_posteriors->register_module(name, make_posterior(*part.encoder, part.private_size));
      part.private_prior = private_priors->register_module(name, make_prior(part.private_size));
    }
    if (aggregator_->has_joint()) {
      part.joint_encoder = joint_encoders->register_module(name, make_encoder());
      num_joint_features += part.joint_encoder->num_features();
    }
    part.likelihood = likelihoods_of->register_module(name, own.likelihood.make({.field = part.spec}));
    part.decoder = decoders_of->register_module(name, own.decoder.make({.latent_size = latent_size_ + part.private_size,
                                                                        .output_shape = part.likelihood->parameter_shape(),
                                                                        .init = context.init}));
  }
  if (aggregator_->has_joint()) {
    joint_posterior_ = register_module(
        "joint_posterior",
        config.posterior.make({.num_features = num_joint_features, .latent_size = latent_size_, .init = context.init}));
  }
  prior_ = register_module("prior", make_prior(latent_size_));
}

std::string MultimodalVae::summary() const {
  std::vector<std::string> parts;
  for (const auto& name : names_) {
    const auto& part = modality(name);
    const auto own = part.private_size > 0 ? " + " + std::to_string(part.private_size) : "";
    parts.push_back(name + ": " + (part.encoder ? part.encoder->summary() + " | " : "") + own + part.decoder->summary());
  }
  return std::string(aggregator_->name()) + " " + std::to_string(latent_size_) + " (" + join(parts, "; ") + ")";
}

MultimodalVae::Modality& MultimodalVae::modality(const std::string& name) const {
  if (const auto found = parts_.find(name); found != parts_.end()) return *found->second;
  throw UsageError(text("'", name, "' is no modality of this model", did_you_mean(name, names_, "it has " + join(names_, ", "))));
}

std::string MultimodalVae::field_of(const std::string& name) const { return modality(name).field; }

std::vector<Expert> MultimodalVae::experts(const Batch& batch, const Subset& given) {
  std::vector<Expert> found;
  for (const auto& name : given) modality(name);
  for (const auto& name : names_) {
    auto& part = modality(name);
    if (!contains(given, name) || !part.encoder) continue;
    const auto& field = batch.fields.at(part.field);
    const auto features = part.encoder->forward(part.input(field, part.dtype()));
    Expert expert{.name = name, .present = field.present};
    if (part.posterior) expert = expert_of(name, *part.posterior->forward(features), field.present);
    if (part.private_posterior) {
      const auto prior = part.private_prior->forward(batch.size());
      expert.own =
          expert_of(private_layer(name), *part.private_posterior->forward(features), field.present, prior.get()).distribution();
    }
    found.push_back(std::move(expert));
  }
  if (joint_posterior_ && given.size() == names_.size()) found.push_back(joint_expert(batch));
  return found;
}

Expert MultimodalVae::joint_expert(const Batch& batch) {
  std::vector<Tensor> features;
  Tensor present;
  for (const auto& name : names_) {
    auto& part = modality(name);
    const auto& field = batch.fields.at(part.field);
    features.push_back(part.joint_encoder->forward(part.input(field, part.dtype())));
    if (field.present.defined()) present = present.defined() ? present & field.present : field.present;
  }
  return expert_of(std::string(kJointExpert), *joint_posterior_->forward(torch::cat(features, 1)), present);
}

Latents MultimodalVae::posterior(const Batch& batch, const std::vector<Expert>& experts) {
  const auto B = batch.size();
  std::vector<Expert> shared;
  for (const auto& expert : experts) {
    if (expert.mean.defined()) shared.push_back(expert);
  }
  const auto p = prior_->forward(B);
  Latents latents{.layers = {{.name = "z", .q = shared.empty() ? p : aggregator_->posterior(shared), .p = p}}};
  for (const auto& name : names_) {
    if (!modality(name).private_prior) continue;
    const auto own_p = modality(name).private_prior->forward(B);
    const auto expert = std::find_if(experts.begin(), experts.end(), [&](const Expert& e) { return e.name == name; });
    latents.layers.push_back({.name = private_layer(name), .q = expert == experts.end() ? own_p : expert->own, .p = own_p});
  }
  return latents;
}

DistributionPtr MultimodalVae::prior_of(const std::string& layer, int64_t B) {
  if (layer == "z") return prior_->forward(B);
  for (const auto& name : names_) {
    if (layer == private_layer(name) && modality(name).private_prior) return modality(name).private_prior->forward(B);
  }
  throw UsageError("this model has no layer '" + layer + "' of latents");
}

Latents MultimodalVae::infer(const Batch& batch, int64_t K, Noise& noise) {
  return drawn(posterior(batch, experts(batch, names_)), batch.size(), K, noise);
}

Latents MultimodalVae::prior(const Batch& batch, int64_t K, Noise& noise) {
  auto latents = posterior(batch, {});
  for (auto& layer : latents.layers) layer.z = layer.q->sample({K, batch.size()}, noise);
  return latents;
}

Latents MultimodalVae::condition(const Batch& batch, const Subset& given, int64_t K, Noise& noise) {
  auto latents = posterior(batch, experts(batch, given));
  for (auto& layer : latents.layers) layer.z = layer.q->sample({K, batch.size()}, noise);
  return latents;
}

Tensor MultimodalVae::decoded_parameters(Modality& part, const Tensor& z, const Tensor& own) {
  const auto all = part.private_size > 0 ? torch::cat({z, own}, -1) : z;
  const auto leading = all.sizes().slice(0, all.dim() - 1);
  const auto parameters = full_precision(part.decoder->forward(all.reshape({-1, latent_size_ + part.private_size})));
  return parameters.reshape(joined(leading, part.likelihood->parameter_shape()));
}

std::vector<Observation> MultimodalVae::decode(const Latents& latents, const Batch& batch, const Subset& targets) {
  std::vector<Observation> observations;
  for (const auto& name : targets) {
    auto& part = modality(name);
    const auto own = part.private_size > 0 ? z_of(latents, private_layer(name)) : Tensor();
    const auto parameters = decoded_parameters(part, z_of(latents, "z"), own);
    Observation observation;
    if (const auto field = batch.fields.find(part.field); field != batch.fields.end()) {
      observation = observe(*part.likelihood, parameters, without_absent(field->second));
      observation.mask = field->second.present;
    } else {
      observation.likelihood = part.likelihood->forward(parameters);
    }
    observation.name = name;
    observation.weight = is_training() ? part.weight : 1;
    observations.push_back(std::move(observation));
  }
  return observations;
}

std::vector<Observation> MultimodalVae::decode(const Latents& latents, const Batch& batch) {
  return decode(latents, batch, names_);
}

std::vector<Tensor> MultimodalVae::parameters_at(const std::vector<std::string>& paths) {
  std::vector<Tensor> parameters;
  for (const auto& item : named_parameters()) {
    const auto below = [&](const std::string& path) { return item.key().starts_with(path + "."); };
    if (std::any_of(paths.begin(), paths.end(), below)) parameters.push_back(item.value());
  }
  return parameters;
}

std::vector<Tensor> MultimodalVae::inference_parameters() {
  return parameters_at({"encoder", "posterior", "private_posterior", "joint_encoder", "joint_posterior"});
}

std::vector<Tensor> MultimodalVae::encoder_parameters(const std::string& expert) {
  if (expert == kJointExpert) return parameters_at({"joint_encoder", "joint_posterior"});
  modality(expert);
  return parameters_at({"encoder." + expert, "posterior." + expert, "private_posterior." + expert});
}

MultimodalVae::Modality& MultimodalVae::shown() const {
  for (const auto& name : names_) {
    if (modality(name).field == "x") return modality(name);
  }
  return modality(names_.front());
}

Tensor MultimodalVae::shown_mean(const Latents& latents) {
  auto& part = shown();
  const auto own = part.private_size > 0 ? z_of(latents, private_layer(part.name)) : Tensor();
  return part.likelihood->forward(decoded_parameters(part, z_of(latents, "z"), own))->mean();
}

Tensor MultimodalVae::sample(const Batch& given, double temperature, Noise& noise) {
  Subset known;
  for (const auto& name : names_) {
    if (given.has(modality(name).field)) known.push_back(name);
  }
  auto latents = condition(given, known, 1, noise);
  for (auto& layer : latents.layers) {
    const auto mean = layer.q->mean();
    layer.z = mean + temperature * (layer.z[0] - mean);
  }
  return shown_mean(latents);
}

Tensor MultimodalVae::reconstruct(const Batch& batch) {
  auto latents = posterior(batch, experts(batch, names_));
  for (auto& layer : latents.layers) layer.z = layer.q->mean();
  return shown_mean(latents);
}

Tensor MultimodalVae::encode(const Batch& batch) { return posterior(batch, experts(batch, names_)).layers.front().q->mean(); }

Tensor MultimodalVae::decode_code(const Tensor& z, const Batch& given) {
  auto latents = posterior(given, {});
  for (auto& layer : latents.layers) layer.z = layer.name == "z" ? z : layer.p->mean();
  return shown_mean(latents);
}

std::shared_ptr<Model> make_multimodal_vae(const MultimodalVaeConfig& config, const ModelContext& context) {
  return std::make_shared<MultimodalVae>(config, context);
}

}  // namespace elbo
