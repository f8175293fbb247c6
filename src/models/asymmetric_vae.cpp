#include "elbo/models/asymmetric_vae.h"

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/math/precision.h"
#include "elbo/models/vq_vae.h"
#include "elbo/nn/shuffle.h"
#include "elbo/quantizers/tokens.h"

namespace elbo {
namespace {

constexpr int64_t kEnlarged = 2;

const FieldSpec& enlarged_field(const DataSpec& spec, const std::string& name) {
  const auto found = spec.find(name);
  if (found == spec.end()) {
    throw ConfigError(text("model 'asymmetric_vae' gives back the field ", name,
                           ", which this data set does not have; data.coarse: ", kEnlarged, " makes it of pictures"));
  }
  const auto& shape = found->second.shape;
  if (shape.size() != 3 || shape[1] % kEnlarged != 0 || shape[2] % kEnlarged != 0) {
    throw ConfigError(text("model 'asymmetric_vae' needs pictures of even height and width, ", name, " is ", shape_text(shape)));
  }
  const auto x = spec.find("x");
  if (name != "x" && x != spec.end() && x->second.shape != Shape{shape[0], shape[1] / kEnlarged, shape[2] / kEnlarged}) {
    throw ConfigError(text("model 'asymmetric_vae' gives pictures twice as high and wide as what its base reads; x is ",
                           shape_text(x->second.shape), ", ", name, " is ", shape_text(shape)));
  }
  return found->second;
}

Batch batch_of(const Tensor& x) { return {.fields = {{"x", {.value = x}}}, .index = torch::arange(x.size(0))}; }

}  // namespace

AsymmetricVae::AsymmetricVae(const AsymmetricVaeConfig& config, const ModelContext& context)
    : head_(config.head), target_(config.target), base_(context.base) {
  const auto& field = enlarged_field(context.spec, target_);
  if (!base_) {
    throw ConfigError("model 'asymmetric_vae' enlarges what a finished VAE decodes: name its run (base: {run: PATH})");
  }
  quantized_ = dynamic_cast<VqVae*>(base_.get());
  const auto* decodes = dynamic_cast<Decodes*>(base_.get());
  if (!quantized_ && (!decodes || !dynamic_cast<Encodes*>(base_.get()))) {
    throw ConfigError(
        text("model 'asymmetric_vae' needs a base that encodes and decodes (vae, vq_vae); this one is ", base_->family()));
  }
  register_module("base", base_);
  base_->eval();
  for (auto& parameter : base_->parameters()) parameter.set_requires_grad(false);
  small_ = {field.shape[0], field.shape[1] / kEnlarged, field.shape[2] / kEnlarged};
  likelihood_ = register_module("likelihood", config.likelihood.make({.field = field}));
  auto output = likelihood_->parameter_shape();
  if (output.size() != 3) throw ConfigError("model 'asymmetric_vae': this likelihood's parameters are no map");
  output[1] /= kEnlarged;
  output[2] /= kEnlarged;
  decoder_ = register_module("decoder",
                             config.decoder.make({.latent_size = quantized_ ? quantized_->latent_size() : decodes->code_size(),
                                                  .latent_map = quantized_ ? quantized_->latent_map() : Shape{},
                                                  .output_shape = output,
                                                  .init = context.init}));
  if (decoder_->feature_channels() == 0) {
    throw ConfigError(text("model 'asymmetric_vae': decoder '", config.decoder.type(),
                           "' has no map of the picture's size before its last layer; take the base's: vqgan, resnet or "
                           "residual_attention"));
  }
  copy_decoder();
}

void AsymmetricVae::copy_decoder() {
  const torch::NoGradGuard no_grad;
  const auto parameters = base_->named_parameters(), buffers = base_->named_buffers();
  std::vector<std::string> strange;
  const auto copy = [&](const auto& own, const auto& given) {
    for (const auto& item : own) {
      const auto* found = given.find("decoder." + item.key());
      if (found && found->sizes() == item.value().sizes()) {
        item.value().copy_(*found);
      } else {
        strange.push_back("decoder." + item.key());
      }
    }
  };
  copy(decoder_->named_parameters(), parameters);
  copy(decoder_->named_buffers(), buffers);
  if (strange.empty()) return;
  throw ConfigError(text("model 'asymmetric_vae' starts from the base's decoder, which has no ", strange.front(),
                         " of this size (", count_of(static_cast<int64_t>(strange.size()), "tensor"),
                         " in all); write model.decoder as in the base's config"));
}

std::string AsymmetricVae::summary() const { return text(base_->summary(), " | ", decoder_->summary(), ", twice as large"); }

void AsymmetricVae::train(bool on) {
  Model::train(on);
  base_->eval();
}

Tensor AsymmetricVae::code(const Tensor& target) {
  const torch::NoGradGuard no_grad;
  const auto batch = batch_of(torch::avg_pool2d(target, kEnlarged));
  if (quantized_) return quantized_->latents_of(quantized_->codes(batch).at(0));
  return dynamic_cast<Encodes&>(*base_).encode(batch);
}

DistributionPtr AsymmetricVae::decode(const Tensor& z) {
  const auto features = decoder_->features(z);
  const auto enlarged =
      head_ == EnlargingHead::dup_shuffle ? repeat_shuffle(features, features.size(1)) : shuffle_repeat(features);
  return likelihood_->forward(full_precision(decoder_->output(enlarged)));
}

Tensor AsymmetricVae::floor(const Tensor& z) {
  const torch::NoGradGuard no_grad;
  constexpr bool kCornersAligned = false;
  const auto small = quantized_ ? quantized_->decode_latents(z)->mean()
                                : dynamic_cast<Decodes&>(*base_).decode_code(z, rows_without_fields(z.size(0)));
  check_shape(small, joined({z.size(0)}, small_), "what the base decodes");
  return torch::upsample_bicubic2d(small, {kEnlarged * small_[1], kEnlarged * small_[2]}, kCornersAligned);
}

Tensor AsymmetricVae::reconstruct(const Batch& batch) { return decode(encode(batch))->mean(); }

Tensor AsymmetricVae::encode(const Batch& batch) { return code(batch.at(target_)); }

Tensor AsymmetricVae::sample(const Batch& given, double temperature, Noise& noise) {
  if (quantized_) {
    const auto space = quantized_->quantizers().front()->code_space();
    return decode(quantized_->latents_of(random_codes(space, given.size(), quantized_->grid(), noise)))->mean();
  }
  auto* variational = dynamic_cast<Variational*>(base_.get());
  if (!variational) throw UsageError(text("the base is ", base_->family(), ", which has no prior to draw codes from"));
  const auto drawn = variational->prior(given, 1, noise).layers.back();
  const auto mean = drawn.p->mean();
  return decode(mean + temperature * (drawn.z.select(0, 0) - mean))->mean();
}

std::string AsymmetricVae::sampled_from() const { return quantized_ ? std::string(kRandomCodes) : std::string(); }

std::shared_ptr<Model> make_asymmetric_vae(const AsymmetricVaeConfig& config, const ModelContext& context) {
  return std::make_shared<AsymmetricVae>(config, context);
}

}  // namespace elbo
