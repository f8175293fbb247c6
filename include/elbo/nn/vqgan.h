#pragma once
#include "elbo/nn/layer.h"
#include "elbo/nn/network.h"
#include "elbo/nn/norm.h"

namespace elbo {

/// The network of VQGAN, which keeps places. Encoder: a 3 x 3 convolution; for each of `multipliers` residual blocks (group norm,
/// swish, 3 x 3, twice) of that many times `channels`, between them a halving; a block, attention over all places and a block;
/// norm, swish and a 3 x 3 convolution to the features. Decoder: the same from the last back, a block more at each size, doubling
/// by repeated pixels and a 3 x 3 convolution; `output` is the last. Where a map is `attention_size` high or smaller, attention
/// follows each of its blocks too.
/// Source: Esser et al. 2021 (arXiv:2012.09841), table 8, and their code: the defaults are its ImageNet model of 256 x 256 pixels
/// and 16 x 16 codes. Differs: the 1 x 1 convolution before the decoder is left to its first 3 x 3; no dropout.
/// Height and width must be divisible by 2 to the number of multipliers less one.
struct VqganNetworkConfig {
  int64_t channels = 128;
  std::vector<int64_t> multipliers = {1, 1, 2, 2, 4};
  int64_t blocks = 2;
  int64_t attention_size = 16;
  int64_t norm_groups = 32;
  int64_t features = 256;

  template <class F>
  void fields(F& field) {
    field("channels", channels, "channels that the multipliers multiply", between(1, 1 << 16));
    field("multipliers", multipliers, "channels at each size, from the image inwards (for encoder and decoder alike)",
          between(1, 1024), length_between(1, 16));
    field("blocks", blocks, "residual blocks at each size", between(1, 1000));
    field("attention_size", attention_size, "greatest height of the maps whose blocks are followed by attention; 0: none",
          at_least(0));
    field("norm_groups", norm_groups, "groups of norm: group", between(1, 1 << 16));
    field("features", features, "channels F of the encoder's map", between(1, 1 << 16));
  }
};

/// Parameters: stem.*, sizes.N.{blocks.M,attentions.M,resize}.*, middle.{block1,attention,block2}.*, norm.*, output.*.
std::shared_ptr<Encoder> make_vqgan_encoder(const VqganNetworkConfig& config, const EncoderContext& context);
/// Parameters: as the encoder's. A vector of latents is taken for a map that has D / (h w) channels. Throws: ConfigError where it
/// is none of that size.
std::shared_ptr<Decoder> make_vqgan_decoder(const VqganNetworkConfig& config, const DecoderContext& context);

}  // namespace elbo
