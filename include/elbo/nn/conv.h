#pragma once
#include "elbo/nn/layer.h"
#include "elbo/nn/network.h"

namespace elbo {

/// Convolutions of kernel 4, stride 2 and padding 1, each of which halves height and width, then a linear layer to the features,
/// with a nonlinearity after each. The decoder is the same read backwards: its last transposed convolution is `output`.
/// Height and width must be divisible by 2 to the number of channels given.
struct ConvConfig {
  std::vector<int64_t> channels = {32, 64};
  int64_t hidden = 256;
  Activation activation = Activation::relu;
  Init init = Init::pytorch;
  Parametrization parametrization = Parametrization::none;

  template <class F>
  void fields(F& field) {
    field("channels", channels, "channels after each halving, from the image inwards (for encoder and decoder alike)",
          between(1, 1 << 16), length_between(1, 16));
    field("hidden", hidden, "width of the linear layer between convolutions and latents", between(1, 1 << 20));
    field("activation", activation, "nonlinearity after each layer");
    field("init", init, "initialisation of the weights");
    field("parametrization", parametrization, "of every layer's weight: none, weight_norm, spectral_norm");
  }
};

/// Parameters: convs.N.{weight,bias}, layers.0.{weight,bias}.
std::shared_ptr<Encoder> make_conv_encoder(const ConvConfig& config, const EncoderContext& context);
/// Parameters: layers.0 (D -> hidden), layers.1 (hidden -> the smallest image), convs.N, output, each .{weight,bias}.
std::shared_ptr<Decoder> make_conv_decoder(const ConvConfig& config, const DecoderContext& context);

}  // namespace elbo
