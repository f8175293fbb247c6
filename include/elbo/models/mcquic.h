#pragma once
#include <functional>

#include "elbo/distributions/likelihood.h"
#include "elbo/models/abilities.h"
#include "elbo/models/initialises.h"
#include "elbo/models/model.h"
#include "elbo/nn/codec_blocks.h"

namespace elbo {

/// A level whose quantiser is `mcquic` with this many codes.
QuantizerChoice mixture_codes(int64_t codes);

struct McquicLevelConfig {
  QuantizerChoice quantizer{elbo::quantizers, "mcquic"};

  template <class F>
  void fields(F& field) {
    field("quantizer", quantizer, "what gives tokens their codes; its tokens and codes have `channels` numbers");
  }
};

/// An image codec whose codes are a cascade: each level halves what it is given, codes it, and hands what the code leaves over to
/// the next; decoding starts at the deepest level. Level l, of x_{l-1}: z = stage(x_{l-1}) at half the size, q_l the code of
/// query(z), x_l = carry(z) - q_l. Back: h_l = restore(read(q_l) + side(h_{l+1})), the deepest without side; the decoder makes
/// p(x | codes) of h_1. Convolutions, residual units, GDN and gated blocks; doubling by shuffled pixels.
/// Source: Zhu et al. 2022 (arXiv:2203.10897), section 3 and figure 3, with the cascade of their code; published: 128 channels,
/// levels at 1/16, 1/32 and 1/64 of the image, 2 groups of 8,192, 2,048 and 512 codes: 0.1277 bits a pixel, trained by
/// MS-SSIM (objective `vq`, likelihood_weight 0 and ms_ssim) or the squared error (a normal likelihood). Differs: images whose
/// sides the halvings don't divide are continued by their last pixels and cut again.
struct McquicConfig {
  int64_t channels = 128;
  int64_t halvings = 3;
  std::vector<McquicLevelConfig> levels = {{mixture_codes(8192)}, {mixture_codes(2048)}, {mixture_codes(512)}};
  LikelihoodChoice likelihood{likelihoods, "normal"};

  template <class F>
  void fields(F& field) {
    field("channels", channels, "channels of all maps", between(1, 1 << 16));
    field("halvings", halvings, "halvings before the first level, which halves once more", between(0, 16));
    field("levels", levels, "levels of codes, from the finest", length_between(1, 16));
    field("likelihood", likelihood, "p(x | codes)");
  }
};

/// Reads field `x`, images. Levels are named level_1 (the finest) and so on; codes and values come deepest first.
/// Parameters: encoder.*, LEVEL.{stage,query,quantizer,carry,read,side,restore}.*, decoder.*, likelihood.*.
class Mcquic final : public Model, public Quantized, public Samples, public Reconstructs, public Initialises {
 public:
  Mcquic(const McquicConfig& config, const ModelContext& context);

  std::string_view family() const override { return "quantized"; }
  std::string summary() const override;

  std::vector<CodeLevel> quantize(const Batch& batch, Step& step) override;
  std::vector<Tensor> codes(const Batch& batch) override;
  std::vector<Observation> decode(const std::vector<Tensor>& values, const Batch& batch) override;
  std::vector<Quantizer*> quantizers() override;
  Tensor output_weight() override;

  /// p(x | codes). Shapes: each level's int64 [B, h, w, G], deepest first -> batch [B], event of x.
  DistributionPtr decode_codes(const std::vector<Tensor>& indices);
  /// As vq_vae's.
  Tensor sample(const Batch& given, double temperature, Noise& noise) override;
  std::string sampled_from() const override;
  Tensor reconstruct(const Batch& batch) override;
  void initialise(const Batch& batch, Step& step) override;

 private:
  struct Level {
    std::string name = {};
    std::string words = {};  // "8x8 codes of mcquic"
    Shape grid = {};         // {h, w}
    MapBlockPtr stage = nullptr, query = nullptr, carry = nullptr;
    MapBlockPtr read = nullptr, side = nullptr, restore = nullptr;  // carry and side not of the deepest
    std::shared_ptr<Quantizer> quantizer = nullptr;
  };
  void add_level(const McquicConfig& config, size_t l, const ModelContext& context);
  /// From the finest level: each level's tokens [B, h, w, D] become its value, of which the next reads what is left over.
  void descend(const Batch& batch, const std::function<Tensor(Level&, const Tensor& tokens)>& value_of);
  /// Shapes: each level's value, deepest first -> [B, parameter_shape...].
  Tensor decoded_parameters(const std::vector<Tensor>& values);

  Shape image_ = {}, padded_ = {};  // [C, H, W]
  std::vector<Level> levels_ = {};  // finest first
  MapBlockPtr encoder_, decoder_;
  std::string last_ = {};  // the name of the decoder's last weight
  std::shared_ptr<Likelihood> likelihood_;
};

std::shared_ptr<Model> make_mcquic(const McquicConfig& config, const ModelContext& context);

}  // namespace elbo
