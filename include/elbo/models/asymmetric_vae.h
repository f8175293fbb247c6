#pragma once
#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "elbo/distributions/likelihood.h"
#include "elbo/models/abilities.h"
#include "elbo/models/model.h"
#include "elbo/nn/network.h"

namespace elbo {

/// How a decoder's features become twice as high and wide before its last layer.
enum class EnlargingHead {
  dup_shuffle,  // each channel four times, then spread over 2x2 squares: at the start the nearest neighbour's enlargement
  shuffle_dup   // groups of four channels spread over 2x2 squares, each of which is then repeated four times
};
constexpr auto enum_names(EnlargingHead) {
  return std::array{std::pair{std::string_view("dup_shuffle"), EnlargingHead::dup_shuffle},
                    std::pair{std::string_view("shuffle_dup"), EnlargingHead::shuffle_dup}};
}

/// A second stage on a finished VAE or quantised model of small pictures, which stays as it is: its encoder reads the target's
/// means over 2x2 squares, and a decoder that starts as the base's gives pictures twice as high and wide, for little more than
/// the base's decoding. The code z is the posterior's mean, or the decoder's input for the nearest codes. Source: Yu et al. 2025
/// (arXiv:2509.24142), the asymmetric VAE. Differs: single images; the paper published no code, and dup_shuffle is a start of
/// ours that keeps what the base has learnt.
struct AsymmetricVaeConfig {
  DecoderChoice decoder{decoders, "resnet"};
  LikelihoodChoice likelihood{likelihoods, "normal"};
  EnlargingHead head = EnlargingHead::dup_shuffle;
  std::string target = "target";

  template <class F>
  void fields(F& field) {
    field("decoder", decoder,
          "the network of the base's decoder, whose weights it starts from (vqgan, resnet, residual_attention)");
    field("likelihood", likelihood, "p(target | z); as many numbers a place as the base's");
    field("head", head, "how features are enlarged: dup_shuffle, or shuffle_dup");
    field("target", target,
          "the field that is given back, twice as high and wide as what the base reads (x); data.coarse: 2 gives both",
          non_empty);
  }
};

class VqVae;

/// Parameters: decoder.*, likelihood.*; base.*, frozen and always in evaluation mode.
class AsymmetricVae final : public Model, public Reconstructs, public Samples, public Encodes {
 public:
  /// Throws: ConfigError where there is no base, it can't encode and decode, it reads another size, or its decoder is another
  /// network.
  AsymmetricVae(const AsymmetricVaeConfig& config, const ModelContext& context);

  std::string_view family() const override { return "asymmetric"; }
  std::string summary() const override;
  void train(bool on = true) override;

  Model& base() { return *base_; }
  /// The trained weight of the layer that gives pictures.
  Tensor output_weight() { return decoder_->output_weight(); }
  /// The base's code of the target made small. Shapes: target [B, C, 2H, 2W] -> [B, D]. No gradient.
  Tensor code(const Tensor& target);
  /// p(target | z). Shapes: z [B, D].
  DistributionPtr decode(const Tensor& z);
  /// What needs no new parameter: the base's picture, enlarged bicubically. Shapes: z [B, D] -> [B, C, 2H, 2W]. No gradient.
  Tensor floor(const Tensor& z);

  Tensor reconstruct(const Batch& batch) override;
  std::string reconstructed_field() const override { return target_; }
  /// Codes of the base's prior; of a quantised base any codes with the same probability.
  Tensor sample(const Batch& given, double temperature, Noise& noise) override;
  std::string sampled_from() const override;
  Tensor encode(const Batch& batch) override;

 private:
  void copy_decoder();

  EnlargingHead head_;
  std::string target_;
  Shape small_ = {};  // what the base reads, [C, H, W]
  std::shared_ptr<Model> base_;
  VqVae* quantized_ = nullptr;  // the base where it is one
  std::shared_ptr<Likelihood> likelihood_;
  std::shared_ptr<Decoder> decoder_;
};

std::shared_ptr<Model> make_asymmetric_vae(const AsymmetricVaeConfig& config, const ModelContext& context);

}  // namespace elbo
