#pragma once
#include "elbo/nn/layer.h"
#include "elbo/nn/network.h"

namespace elbo {

/// The network of the VQ-VAE, without a fully connected layer: features and latents are maps.
/// Encoder: a convolution of kernel 4, stride 2 and padding 1 for each of `channels`, a 3 x 3 convolution, then the residual
/// blocks (ReLU, 3 x 3, ReLU, 1 x 1) and a last ReLU; ReLU between convolutions. Decoder: a 3 x 3 convolution of the latent map,
/// the blocks, and transposed convolutions of kernel 4 with ReLU before each; the last of them is `output`. Source: van den Oord
/// et al. 2017 (arXiv:1711.00937), section 4.1, with the 3 x 3 convolution and the ReLUs of the authors' published layer code.
/// Height and width must be divisible by 2 to the number of channels given.
struct ResidualConvConfig {
  std::vector<int64_t> channels = {128, 256};
  int64_t residual_blocks = 2;
  int64_t residual_channels = 256;
  WeightInit init = WeightInit::pytorch;
  Parametrization parametrization = Parametrization::none;

  template <class F>
  void fields(F& field) {
    field("channels", channels, "channels after each halving, from the image inwards (for encoder and decoder alike)",
          between(1, 1 << 16), length_between(1, 16));
    field("residual_blocks", residual_blocks, "residual blocks at the smallest size", between(0, 1000));
    field("residual_channels", residual_channels, "channels inside a residual block", between(1, 1 << 16));
    field("init", init, "initialisation of the weights");
    field("parametrization", parametrization, "of every layer's weight: none, weight_norm, spectral_norm");
  }
};

/// Parameters: convs.N.{weight,bias}, blocks.N.{conv1,conv2}.{weight,bias}.
std::shared_ptr<Encoder> make_residual_conv_encoder(const ResidualConvConfig& config, const EncoderContext& context);
/// Parameters: as the encoder's, and output.{weight,bias}. Reads the latent map that an encoder which keeps places leaves; a
/// vector of latents is taken for a map that has D / (h w) channels. Throws: ConfigError where it is none of that size.
std::shared_ptr<Decoder> make_residual_conv_decoder(const ResidualConvConfig& config, const DecoderContext& context);

}  // namespace elbo
