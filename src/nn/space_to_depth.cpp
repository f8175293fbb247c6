#include "elbo/nn/space_to_depth.h"

#include "images.h"

namespace elbo {
namespace {

/// [C, H, W] -> [C f^2, H/f, W/f].
Shape deepened(const Shape& image, int64_t factor, const std::string& who) {
  detail::check_image(image, who);
  if (image[1] % factor == 0 && image[2] % factor == 0) {
    return {image[0] * factor * factor, image[1] / factor, image[2] / factor};
  }
  throw ConfigError(who + ": a factor of " + std::to_string(factor) + " doesn't divide " + detail::image_text(image));
}

class SpaceToDepthEncoder final : public Encoder {
 public:
  SpaceToDepthEncoder(const SpaceToDepthEncoderConfig& config, const EncoderContext& context)
      : factor_(config.factor), input_shape_(context.input_shape) {
    network_ = register_module(
        "network",
        config.network.make({.input_shape = deepened(input_shape_, factor_, "space_to_depth encoder"), .init = context.init}));
  }
  Tensor forward(const Tensor& x) override {
    check_shape(x, joined({kAnyExtent}, input_shape_), "input of the space_to_depth encoder");
    return network_->forward(torch::pixel_unshuffle(x, factor_));
  }
  int64_t num_features() const override { return network_->num_features(); }
  Shape map_shape() const override { return network_->map_shape(); }
  std::string summary() const override { return detail::image_text(input_shape_) + "/" + network_->summary(); }

 private:
  int64_t factor_;
  Shape input_shape_;
  std::shared_ptr<Encoder> network_;
};

class SpaceToDepthDecoder final : public Decoder {
 public:
  SpaceToDepthDecoder(const SpaceToDepthDecoderConfig& config, const DecoderContext& context)
      : factor_(config.factor), output_shape_(context.output_shape) {
    network_ = register_module("network",
                               config.network.make({.latent_size = context.latent_size,
                                                    .latent_map = context.latent_map,
                                                    .output_shape = deepened(output_shape_, factor_, "space_to_depth decoder"),
                                                    .init = context.init}));
  }
  Tensor forward(const Tensor& z) override { return torch::pixel_shuffle(network_->forward(z), factor_); }
  std::string summary() const override { return network_->summary() + "/" + detail::image_text(output_shape_); }
  /// One bias of the network is not one of the picture.
  Tensor output_bias() override { return {}; }
  Tensor output_weight() override { return network_->output_weight(); }

 private:
  int64_t factor_;
  Shape output_shape_;
  std::shared_ptr<Decoder> network_;
};

}  // namespace

std::shared_ptr<Encoder> make_space_to_depth_encoder(const SpaceToDepthEncoderConfig& config, const EncoderContext& context) {
  return std::make_shared<SpaceToDepthEncoder>(config, context);
}

std::shared_ptr<Decoder> make_space_to_depth_decoder(const SpaceToDepthDecoderConfig& config, const DecoderContext& context) {
  return std::make_shared<SpaceToDepthDecoder>(config, context);
}

}  // namespace elbo
