#include "elbo/nn/conv.h"
#include "elbo/nn/conv64.h"
#include "elbo/nn/dcgan.h"
#include "elbo/nn/mlp.h"
#include "elbo/nn/residual_attention.h"
#include "elbo/nn/residual_conv.h"
#include "elbo/nn/resnet.h"
#include "elbo/nn/sequence_transformer.h"
#include "elbo/nn/space_to_depth.h"
#include "elbo/nn/vqgan.h"

namespace elbo {

Catalog<Encoder, const EncoderContext&>& encoders() {
  static auto catalog =
      Catalog<Encoder, const EncoderContext&>("encoder")
          .add("conv", "strided convolutions, then a linear layer", make_conv_encoder)
          .add("conv64", "Locatello et al. 2019, table 1, for 64 x 64 images", make_conv64_encoder)
          .add("dcgan", "Radford et al. 2016, the discriminator's convolutions", make_dcgan_encoder)
          .add("mlp", "fully connected layers", make_mlp_encoder)
          .add("residual_attention", "Minoza 2025 (arXiv:2504.14372)", make_residual_attention_encoder)
          .add("residual_conv", "van den Oord et al. 2017, section 4.1", make_residual_conv_encoder)
          .add("resnet", "He et al. 2016, pre-activation residual blocks", make_resnet_encoder)
          .add("sequence_transformer", "Vaswani et al. 2017, over the rows of a field", make_sequence_transformer_encoder)
          .add("space_to_depth", "Shi et al. 2016 (arXiv:1609.05158), section 3.2", make_space_to_depth_encoder)
          .add("vqgan", "Esser et al. 2021 (arXiv:2012.09841), table 8", make_vqgan_encoder);
  return catalog;
}

Catalog<Decoder, const DecoderContext&>& decoders() {
  static auto catalog =
      Catalog<Decoder, const DecoderContext&>("decoder")
          .add("conv", "linear layers, then transposed convolutions", make_conv_decoder)
          .add("conv64", "Locatello et al. 2019, table 1, for 64 x 64 images", make_conv64_decoder)
          .add("dcgan", "Radford et al. 2016, the generator", make_dcgan_decoder)
          .add("mlp", "fully connected layers", make_mlp_decoder)
          .add("residual_attention", "Minoza 2025 (arXiv:2504.14372)", make_residual_attention_decoder)
          .add("residual_conv", "van den Oord et al. 2017, section 4.1", make_residual_conv_decoder)
          .add("resnet", "He et al. 2016, pre-activation residual blocks", make_resnet_decoder)
          .add("sequence_transformer", "Vaswani et al. 2017, over the rows of a field", make_sequence_transformer_decoder)
          .add("space_to_depth", "Shi et al. 2016 (arXiv:1609.05158), section 3.2", make_space_to_depth_decoder)
          .add("vqgan", "Esser et al. 2021 (arXiv:2012.09841), table 8", make_vqgan_decoder);
  return catalog;
}

}  // namespace elbo
