#pragma once
#include "elbo/nn/layer.h"
#include "elbo/nn/network.h"
#include "elbo/nn/norm.h"

namespace elbo {

/// DCGAN's discriminator up to its last features: convolutions of kernel 4, stride 2 and padding 1, normalised but for the first,
/// leaky ReLU, no fully connected layer: the smallest image, flattened, is the features.
/// Source: Radford et al. 2016 (arXiv:1511.06434), section 3 and figure 1. Differs: kernel 4 (as in the authors' code for PyTorch
/// and Torch) where the paper's figure has 5.
struct DcganEncoderConfig {
  std::vector<int64_t> channels = {64, 128, 256, 512};
  Norm norm = Norm::batch;
  int64_t norm_groups = 8;
  double negative_slope = 0.2;
  WeightInit init = WeightInit::dcgan;
  Parametrization parametrization = Parametrization::none;

  template <class F>
  void fields(F& field) {
    field("channels", channels, "channels after each halving, from the image inwards", between(1, 1 << 16),
          length_between(1, 16));
    field("norm", norm, "normalisation after each convolution but the first: none, batch, group, layer");
    field("norm_groups", norm_groups, "groups of norm: group", between(1, 1 << 16));
    field("negative_slope", negative_slope, "slope of the leaky ReLU below zero", between(0, 1));
    field("init", init, "initialisation of the weights");
    field("parametrization", parametrization, "of every layer's weight: none, weight_norm, spectral_norm");
  }
};

/// DCGAN's generator: a projection of z to the smallest image, then transposed convolutions of kernel 4, stride 2 and padding 1,
/// each but the last normalised. Source: as the encoder's. Differs: no tanh at the end, the likelihood takes the output as its
/// parameters.
struct DcganDecoderConfig {
  std::vector<int64_t> channels = {64, 128, 256, 512};
  Norm norm = Norm::batch;
  int64_t norm_groups = 8;
  Activation activation = Activation::relu;
  WeightInit init = WeightInit::dcgan;
  Parametrization parametrization = Parametrization::none;

  template <class F>
  void fields(F& field) {
    field("channels", channels, "channels before each doubling, from the image inwards (as the encoder's)", between(1, 1 << 16),
          length_between(1, 16));
    field("norm", norm, "normalisation after each layer but the last: none, batch, group, layer");
    field("norm_groups", norm_groups, "groups of norm: group", between(1, 1 << 16));
    field("activation", activation, "nonlinearity after each layer but the last");
    field("init", init, "initialisation of the weights");
    field("parametrization", parametrization, "of every layer's weight: none, weight_norm, spectral_norm");
  }
};

/// Parameters: convs.N.weight, norms.N.{weight,bias} (norms.N follows convs.N; none for the first). A layer that is normalised
/// has no bias. Height and width must be divisible by 2 to the number of channels given.
std::shared_ptr<Encoder> make_dcgan_encoder(const DcganEncoderConfig& config, const EncoderContext& context);
/// Parameters: layers.0.weight, convs.N.weight, norms.N.{weight,bias} (norms.0 follows layers.0, norms.N convs.(N - 1)),
/// output.{weight,bias}.
std::shared_ptr<Decoder> make_dcgan_decoder(const DcganDecoderConfig& config, const DecoderContext& context);

}  // namespace elbo
