#pragma once
#include "elbo/nn/network.h"

namespace elbo {

/// Kernel of the encoder's third and fourth convolution, of stride 2 either way.
enum class InnerKernel {
  k2,  // as in the authors' code (google-research/disentanglement_lib)
  k4   // as in the paper's table
};
constexpr auto enum_names(InnerKernel) {
  return std::array{std::pair{std::string_view("k2"), InnerKernel::k2}, std::pair{std::string_view("k4"), InnerKernel::k4}};
}

/// Encoder of the disentanglement literature for 64 x 64 images: convolutions of 32, 32, 64 and 64 channels and stride 2, then
/// 256 units, a nonlinearity after each. Source: Locatello et al. 2019 (arXiv:1811.12359), table 1, after Higgins et al. 2017
/// (ICLR) and Burgess et al. 2018.
struct Conv64EncoderConfig {
  InnerKernel inner_kernel = InnerKernel::k2;
  Activation activation = Activation::relu;
  Init init = Init::xavier_uniform;

  template <class F>
  void fields(F& field) {
    field("inner_kernel", inner_kernel, "kernel of the two 64-channel convolutions: k2 (the authors' code) or k4 (the paper)");
    field("activation", activation, "nonlinearity after each layer");
    field("init", init, "initialisation of the weights");
  }
};

/// Its decoder: 256 and 1024 units, then transposed convolutions of kernel 4 and stride 2 to 64, 32, 32 and the image's channels.
/// Source: as the encoder's.
struct Conv64DecoderConfig {
  Activation activation = Activation::relu;
  Init init = Init::xavier_uniform;

  template <class F>
  void fields(F& field) {
    field("activation", activation, "nonlinearity after each layer but the last");
    field("init", init, "initialisation of the weights");
  }
};

/// Parameters: convs.N (4), layers.0, each .{weight,bias}. Throws: ConfigError unless images are 64 x 64.
std::shared_ptr<Encoder> make_conv64_encoder(const Conv64EncoderConfig& config, const EncoderContext& context);
/// Parameters: layers.N (2), convs.N (3), output, each .{weight,bias}. Throws: ConfigError unless images are 64 x 64.
std::shared_ptr<Decoder> make_conv64_decoder(const Conv64DecoderConfig& config, const DecoderContext& context);

}  // namespace elbo
