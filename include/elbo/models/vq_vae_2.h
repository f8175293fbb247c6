#pragma once
#include <functional>

#include "elbo/distributions/likelihood.h"
#include "elbo/models/abilities.h"
#include "elbo/models/initialises.h"
#include "elbo/models/model.h"
#include "elbo/nn/layer.h"
#include "elbo/nn/network.h"

namespace elbo {

/// The published network with these channels after each halving: 3 x 3 convolutions of the last, two residual blocks of 64.
EncoderChoice halving_encoder(std::vector<int64_t> channels);
DecoderChoice doubling_decoder(std::vector<int64_t> channels);

/// One level of codes. Its encoder reads the features of the level below, its decoder gives what the level below is told.
struct VqVae2LevelConfig {
  EncoderChoice encoder = halving_encoder({128});
  DecoderChoice decoder = doubling_decoder({128});
  QuantizerChoice quantizer{elbo::quantizers, "ema"};

  template <class F>
  void fields(F& field) {
    field("encoder", encoder, "network from the features of the level below (the bottom one: from x) to a map of features");
    field("decoder", decoder,
          "network from this level's codes to what the level below is told (the bottom one: from all codes to p(x | codes))");
    field("quantizer", quantizer, "what gives tokens their codes");
  }
};

/// Codes at several resolutions: the top level's are chosen first; what they decode to and the features of the level below
/// together give that level's tokens, and so on down. The decoder of x reads all of them, brought to the bottom's resolution.
/// Source: Razavi et al. 2019 (arXiv:1906.00446), section 3.1; a quarter of the image's height and width at the bottom, an eighth
/// at the top; upwards by transposed convolutions as in rosinality's port.
struct VqVae2Config {
  VqVae2LevelConfig bottom = {halving_encoder({64, 128}), doubling_decoder({64, 128})};
  std::vector<VqVae2LevelConfig> middle = {};
  VqVae2LevelConfig top = {};
  LikelihoodChoice likelihood{likelihoods, "bernoulli"};

  template <class F>
  void fields(F& field) {
    field("bottom", bottom, "the level that reads x: details");
    field("middle", middle, "levels between, from below");
    field("top", top, "the level that sees most of x");
    field("likelihood", likelihood, "p(x | codes)");
  }
};

/// Reads field `x`, images. Levels are named top, middle (middle_2, middle_1 where there are two) and bottom.
/// Parameters: LEVEL.{encoder,head,quantizer,decoder,up}.*, likelihood.*; head is the 1 x 1 convolution that makes tokens.
class VqVae2 final : public Model, public Quantized, public Samples, public Reconstructs, public Initialises {
 public:
  VqVae2(const VqVae2Config& config, const ModelContext& context);

  std::string_view family() const override { return "quantized"; }
  std::string summary() const override;

  std::vector<CodeLevel> quantize(const Batch& batch, Step& step) override;
  std::vector<Tensor> codes(const Batch& batch) override;
  std::vector<Observation> decode(const std::vector<Tensor>& values, const Batch& batch) override;
  std::vector<Quantizer*> quantizers() override;
  Tensor output_weight() override { return levels_.front().decoder->output_weight(); }

  /// p(x | codes). Shapes: each level's int64 [B, h, w, G], top first -> batch [B], event of x.
  DistributionPtr decode_codes(const std::vector<Tensor>& indices);
  /// As vq_vae's.
  Tensor sample(const Batch& given, double temperature, Noise& noise) override;
  std::string sampled_from() const override;
  Tensor reconstruct(const Batch& batch) override;
  void initialise(const Batch& batch, Step& step) override;

 private:
  struct Level {
    std::string name = {};
    std::string words = {};  // "8x8 codes of ema"
    Shape map = {};          // features [F, h, w]
    std::shared_ptr<Encoder> encoder = nullptr;
    std::shared_ptr<Layer> head = nullptr;
    std::shared_ptr<Quantizer> quantizer = nullptr;
    std::shared_ptr<Decoder> decoder = nullptr;
    std::vector<std::shared_ptr<Layer>> up = {};
  };
  /// Heads, decoders and ups, whose sizes depend on the levels beside them.
  void connect(const std::vector<const VqVae2LevelConfig*>& configs, Stream& init);
  /// From the top down: each level's tokens [B, h, w, input_size] become its value [B, h, w, output_size], which the level below
  /// is told.
  void descend(const Batch& batch, const std::function<Tensor(Level&, const Tensor& tokens)>& value_of);
  /// Shapes: each level's value, top first -> [B, parameter_shape...].
  Tensor decoded_parameters(const std::vector<Tensor>& values);

  std::vector<Level> levels_ = {};  // bottom first
  std::shared_ptr<Likelihood> likelihood_;
};

std::shared_ptr<Model> make_vq_vae_2(const VqVae2Config& config, const ModelContext& context);

}  // namespace elbo
