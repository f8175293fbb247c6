#include "elbo/nn/conv.h"
#include "elbo/nn/mlp.h"

namespace elbo {

Catalog<Encoder, const EncoderContext&>& encoders() {
  static auto catalog = Catalog<Encoder, const EncoderContext&>("encoder")
                            .add("conv", "strided convolutions, then a linear layer", make_conv_encoder)
                            .add("mlp", "fully connected layers", make_mlp_encoder);
  return catalog;
}

Catalog<Decoder, const DecoderContext&>& decoders() {
  static auto catalog = Catalog<Decoder, const DecoderContext&>("decoder")
                            .add("conv", "linear layers, then transposed convolutions", make_conv_decoder)
                            .add("mlp", "fully connected layers", make_mlp_decoder);
  return catalog;
}

}  // namespace elbo
