#pragma once
#include "elbo/nn/layer.h"
#include "elbo/nn/network.h"

namespace elbo {

/// Fully connected layers with a nonlinearity after each; a decoder's linear `output` layer follows them.
/// Without hidden layers the encoder hands on its flattened input and the decoder is linear.
struct MlpConfig {
  std::vector<int64_t> hidden = {200, 200};
  Activation activation = Activation::tanh;
  Init init = Init::xavier_uniform;
  Parametrization parametrization = Parametrization::none;

  template <class F>
  void fields(F& field) {
    field("hidden", hidden, "widths of the hidden layers, first to last; [] makes it linear", between(1, 1 << 20));
    field("activation", activation, "nonlinearity after each hidden layer");
    field("init", init, "initialisation of the weights");
    field("parametrization", parametrization, "of every layer's weight: none, weight_norm, spectral_norm");
  }
};

/// Parameters: layers.N.{weight,bias}.
std::shared_ptr<Encoder> make_mlp_encoder(const MlpConfig& config, const EncoderContext& context);
/// Parameters: layers.N.{weight,bias}, output.{weight,bias}.
std::shared_ptr<Decoder> make_mlp_decoder(const MlpConfig& config, const DecoderContext& context);

}  // namespace elbo
