#pragma once
#include <optional>

#include "elbo/distributions/likelihood.h"
#include "elbo/models/abilities.h"
#include "elbo/models/initialises.h"
#include "elbo/models/model.h"
#include "elbo/nn/layer.h"
#include "elbo/nn/network.h"
#include "elbo/nn/table_features.h"

namespace elbo {

/// Autoencoder whose latents are discrete codes: an encoder's features become tokens, a quantiser gives each its code, a decoder
/// gives p(x | codes). Which quantiser is the axis `quantizer`.
/// Source: van den Oord et al. 2017 (arXiv:1711.00937), section 3.
struct VqVaeConfig {
  EncoderChoice encoder{encoders, "residual_conv"};
  DecoderChoice decoder{decoders, "residual_conv"};
  QuantizerChoice quantizer{quantizers, "vq"};
  LikelihoodChoice likelihood{likelihoods, "bernoulli"};
  int64_t tokens = 16;
  std::string target = "x";

  template <class F>
  void fields(F& field) {
    field("encoder", encoder, "network from x to features; residual_conv keeps places, each of which becomes a token");
    field("decoder", decoder, "network from codes to the likelihood's parameters");
    field("quantizer", quantizer, "what gives tokens their codes");
    field("likelihood", likelihood, "p(x | codes)");
    field("tokens", tokens, "tokens T an example where the encoder's features are a vector and not a map", between(1, 1 << 20));
    field("target", target, "the field that the codes give back: x, or another where pictures are enlarged", non_empty);
  }
};

/// Reads field `x` (in training that of the target too); a table's encoder gets its TableFeatures. Parameters: encoder.*,
/// head.{weight,bias} (features to tokens: a 1 x 1 convolution of a map, else a linear layer), quantizer.*, decoder.*,
/// likelihood.*.
class VqVae final : public Model, public Quantized, public Samples, public Reconstructs, public Initialises {
 public:
  VqVae(const VqVaeConfig& config, const ModelContext& context);

  std::string_view family() const override { return "quantized"; }
  std::string summary() const override;

  std::vector<CodeLevel> quantize(const Batch& batch, Step& step) override;
  std::vector<Tensor> codes(const Batch& batch) override;
  std::vector<Observation> decode(const std::vector<Tensor>& values, const Batch& batch) override;
  std::vector<Quantizer*> quantizers() override { return {quantizer_.get()}; }
  Tensor output_weight() override { return decoder_->output_weight(); }

  /// p(x | codes). Shapes: int64 [B, ..., G] -> batch [B], event of the target.
  DistributionPtr decode_codes(const Tensor& indices);
  /// What the decoder reads for these codes. Shapes: int64 [B, ..., G] -> [B, D h w] of a map, else [B, T D].
  Tensor latents_of(const Tensor& indices);
  /// p(x | codes) from there.
  DistributionPtr decode_latents(const Tensor& latents);
  /// Of such latents: [D, h, w] of a map, else empty; and how many numbers they are.
  Shape latent_map() const;
  int64_t latent_size() const;
  /// What the quantiser reads. Shapes: [B, h, w, D] of a map, else [B, T, D].
  Tensor tokens_of(const Batch& batch);
  /// Extents of an example's tokens: {h, w} or {T}.
  const Shape& grid() const { return grid_; }

  /// Every code with the same probability, whatever the temperature: what is in the data is not in there before a prior over
  /// codes has been learnt. Codes without bound are standard normal numbers, rounded.
  Tensor sample(const Batch& given, double temperature, Noise& noise) override;
  std::string sampled_from() const override;
  Tensor reconstruct(const Batch& batch) override;
  std::string reconstructed_field() const override { return target_; }
  void initialise(const Batch& batch, Step& step) override;

 private:
  /// Shapes: [B, grid..., D] -> [B, D h w].
  Tensor flat(const Tensor& value) const;
  /// Shapes: [B, D h w] -> [B, parameter_shape...].
  Tensor decoded_parameters(const Tensor& latents);

  bool is_map_ = false;
  Shape grid_ = {};
  std::string quantizer_name_ = {};
  std::string target_ = "x";
  std::optional<TableFeatures> table_ = {};
  std::shared_ptr<Encoder> encoder_;
  std::shared_ptr<Layer> head_;
  std::shared_ptr<Quantizer> quantizer_;
  std::shared_ptr<Likelihood> likelihood_;
  std::shared_ptr<Decoder> decoder_;
};

std::shared_ptr<Model> make_vq_vae(const VqVaeConfig& config, const ModelContext& context);

}  // namespace elbo
