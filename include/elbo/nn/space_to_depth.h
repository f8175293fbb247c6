#pragma once
#include "elbo/nn/network.h"

namespace elbo {

/// A network that sees squares of factor x factor places as channels of one place: one that halves a picture three times then
/// stands for a sixteenth of the height and width instead of an eighth. Source: Shi et al. 2016 (arXiv:1609.05158), section 3.2,
/// both ways, as in the symmetric variant of Yu et al. 2025 (arXiv:2509.24142).
struct SpaceToDepthEncoderConfig {
  int64_t factor = 2;
  EncoderChoice network{encoders, "residual_conv"};

  template <class F>
  void fields(F& field) {
    field("factor", factor, "side of the squares", between(1, 64));
    field("network", network, "what reads the picture of factor^2 times the channels");
  }
};
struct SpaceToDepthDecoderConfig {
  int64_t factor = 2;
  DecoderChoice network{decoders, "residual_conv"};

  template <class F>
  void fields(F& field) {
    field("factor", factor, "side of the squares", between(1, 64));
    field("network", network, "what gives the picture of factor^2 times the channels");
  }
};

/// Parameters: network.*. Throws: ConfigError unless the factor divides height and width.
std::shared_ptr<Encoder> make_space_to_depth_encoder(const SpaceToDepthEncoderConfig& config, const EncoderContext& context);
std::shared_ptr<Decoder> make_space_to_depth_decoder(const SpaceToDepthDecoderConfig& config, const DecoderContext& context);

}  // namespace elbo
