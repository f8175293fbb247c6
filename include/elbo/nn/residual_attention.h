#pragma once
#include "elbo/nn/layer.h"
#include "elbo/nn/network.h"

namespace elbo {

/// Networks that keep a map's size and weigh what they add by an attention mask: SiLU(x + sigmoid(up(mask(max_pool(x)))) *
/// trunk(x)), mask and trunk three reflection-padded convolutions each (9 x 9, 3 x 3, 3 x 3, SiLU between). Encoder: a 9 x 9
/// convolution to the first channels, 3 x 3 ones to the others, batch normalisation and SiLU after each, then the blocks; each
/// place of the map becomes a token. Decoder: for each of the channels, from the last, a 3 x 3 convolution, batch normalisation
/// and a block; two more blocks; then, as often as the output is twice the map, bilinear enlargement, a 3 x 3 convolution, batch
/// normalisation and SiLU; a 9 x 9 convolution is the output. Source: Minoza 2025 (arXiv:2504.14372), of its published code; the
/// blocks after Wang et al. 2017 (arXiv:1704.06904). Differs: the model's own 1 x 1 convolution makes tokens of features, where
/// there a 3 x 3 one and batch normalisation stand.
struct ResidualAttentionConfig {
  std::vector<int64_t> channels = {64, 128, 256};
  int64_t blocks = 3;
  int64_t kernel = 9;

  template <class F>
  void fields(F& field) {
    field("channels", channels, "channels of the convolutions, from the image inwards (for encoder and decoder alike)",
          between(1, 1 << 16), length_between(1, 16));
    field("blocks", blocks, "residual attention blocks of the encoder", between(0, 1000));
    field("kernel", kernel, "side of the large convolutions, odd", between(3, 31));
  }
  void check(Relations& relations) const {
    if (kernel % 2 == 0) relations.problem("kernel", "must be odd");
  }
};

/// Parameters: convs.N.weight, norms.N.*, blocks.N.{trunk,mask}.N.{weight,bias}.
std::shared_ptr<Encoder> make_residual_attention_encoder(const ResidualAttentionConfig& config, const EncoderContext& context);
/// Parameters: as the encoder's, and output.{weight,bias}. Where latents are no map a linear layer (layers.0) makes one of half
/// the output's size. Throws: ConfigError where the output isn't the latent map, doubled some times.
std::shared_ptr<Decoder> make_residual_attention_decoder(const ResidualAttentionConfig& config, const DecoderContext& context);

}  // namespace elbo
