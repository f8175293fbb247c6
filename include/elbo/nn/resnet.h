#pragma once
#include "elbo/nn/layer.h"
#include "elbo/nn/network.h"
#include "elbo/nn/norm.h"

namespace elbo {

/// Pre-activation residual networks: x + conv(a(norm(conv(a(norm(x)))))), 3 x 3 convolutions, the shortcut a 1 x 1 convolution of
/// the activated input where size or channels change. Each stage halves the image in its first block (the decoder's doubles it by
/// repeating pixels), then come blocks that keep it. A 3 x 3 convolution stands before the first stage, a last norm and
/// nonlinearity after the last. Source: He et al. 2016 (arXiv:1603.05027), figure 1b and section 3. Differs: features are a
/// linear layer on all places, which keeps what is where, instead of their average.
struct ResnetConfig {
  std::vector<int64_t> channels = {32, 64};
  int64_t blocks = 2;
  int64_t hidden = 256;
  Norm norm = Norm::batch;
  int64_t norm_groups = 8;
  Activation activation = Activation::relu;
  WeightInit init = WeightInit::he_normal;
  Parametrization parametrization = Parametrization::none;

  template <class F>
  void fields(F& field) {
    field("channels", channels, "channels of each stage, from the image inwards (for encoder and decoder alike)",
          between(1, 1 << 16), length_between(1, 16));
    field("blocks", blocks, "residual blocks in each stage", between(1, 1000));
    field("hidden", hidden, "width of the linear layer between stages and latents", between(1, 1 << 20));
    field("norm", norm, "normalisation before each convolution: none, batch, group, layer");
    field("norm_groups", norm_groups, "groups of norm: group", between(1, 1 << 16));
    field("activation", activation, "nonlinearity");
    field("init", init, "initialisation of the weights");
    field("parametrization", parametrization, "of every layer's weight: none, weight_norm, spectral_norm");
  }
};

/// Parameters: stem.weight, blocks.N.{norm1,norm2}.{weight,bias}, blocks.N.{conv1,conv2}.weight, blocks.N.shortcut.weight where
/// there is one, norm.{weight,bias}, layers.0.{weight,bias}. Height and width must be divisible by 2 to the number of channels
/// given.
std::shared_ptr<Encoder> make_resnet_encoder(const ResnetConfig& config, const EncoderContext& context);
/// Parameters: layers.0 (D -> hidden), layers.1 (hidden -> the smallest image), blocks.N, norm, output.{weight,bias}.
std::shared_ptr<Decoder> make_resnet_decoder(const ResnetConfig& config, const DecoderContext& context);

}  // namespace elbo
