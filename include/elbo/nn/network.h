#pragma once
#include <torch/nn/module.h>

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "elbo/config/catalog.h"
#include "elbo/config/choice.h"
#include "elbo/math/init.h"

namespace elbo {

/// From data to features. Parameters are `layers.N.{weight,bias}` (N counts the linear layers) or `convs.N.{weight,bias}`.
class Encoder : public torch::nn::Module {
 public:
  /// Shapes: [B, event...] -> [B, num_features()].
  virtual Tensor forward(const Tensor& x) = 0;
  virtual int64_t num_features() const = 0;
  /// The features of an example as a map [F, h, w] where the network keeps places, else [num_features()].
  virtual Shape map_shape() const { return {num_features()}; }
  /// "784-200-200".
  virtual std::string summary() const = 0;
};

/// From latents to the parameters of a likelihood. The last layer is `output`.
class Decoder : public torch::nn::Module {
 public:
  /// Shapes: z [N, D] -> [N, parameter_shape...]; callers flatten samples and examples into N.
  virtual Tensor forward(const Tensor& z) = 0;
  virtual std::string summary() const = 0;
  /// The bias of the last layer, so that a model can start at the data's mean; undefined when there is none.
  /// One number an output element ([C*H*W]) or, of a convolution, a channel ([C]): set_output_bias() takes care of both.
  virtual Tensor output_bias() = 0;
  /// The trained weight of the last layer, where losses that pull at the whole network are compared; undefined when there is
  /// none.
  virtual Tensor output_weight() { return {}; }
  /// What the last layer reads, where that is a map as high and wide as the output: [N, feature_channels(), H, W]; undefined, of
  /// 0 channels, when there is none.
  virtual Tensor features(const Tensor& /*z*/) { return {}; }
  virtual int64_t feature_channels() const { return 0; }
  /// The last layer alone, on features of any height and width.
  virtual Tensor output(const Tensor& /*features*/) { return {}; }
};

/// Writes a bias of one example's parameter shape ([C, H, W] or [D]) into the decoder's last layer; a layer that has one bias
/// a channel gets each channel's mean. A decoder without an output bias is left alone.
/// Throws: ShapeError when the sizes don't match.
void set_output_bias(Decoder& decoder, const Tensor& bias);

struct EncoderContext {
  Shape input_shape = {};  // of one example
  Stream& init;
};
struct DecoderContext {
  int64_t latent_size = 0;
  Shape latent_map = {};    // [D, h, w] where z is such a map, flattened; empty = a vector
  Shape output_shape = {};  // the likelihood's parameters for one example, e.g. [C, H, W] or [2C, H, W]
  Stream& init;
};

/// The axes `encoder` and `decoder`.
Catalog<Encoder, const EncoderContext&>& encoders();
Catalog<Decoder, const DecoderContext&>& decoders();
using EncoderChoice = Choice<Encoder, const EncoderContext&>;
using DecoderChoice = Choice<Decoder, const DecoderContext&>;

/// Nonlinearities by name; gelu is the exact one, leaky_relu has slope 0.01.
enum class Activation { relu, tanh, elu, silu, gelu, leaky_relu, sigmoid };
constexpr auto enum_names(Activation) {
  using namespace std::string_view_literals;
  return std::array{std::pair{"relu"sv, Activation::relu},      std::pair{"tanh"sv, Activation::tanh},
                    std::pair{"elu"sv, Activation::elu},        std::pair{"silu"sv, Activation::silu},
                    std::pair{"gelu"sv, Activation::gelu},      std::pair{"leaky_relu"sv, Activation::leaky_relu},
                    std::pair{"sigmoid"sv, Activation::sigmoid}};
}
Tensor activate(const Tensor& x, Activation activation);

}  // namespace elbo
