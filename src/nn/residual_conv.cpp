#include "elbo/nn/residual_conv.h"

#include "images.h"

namespace elbo {
namespace {

std::shared_ptr<Layer> convolution(const ResidualConvConfig& config, int64_t from, int64_t to, int64_t kernel, Stream& init) {
  return std::make_shared<Layer>(LayerOptions{.kind = LayerKind::conv,
                                              .in = from,
                                              .out = to,
                                              .kernel = kernel,
                                              .padding = kernel / 2,
                                              .parametrization = config.parametrization,
                                              .init = config.init},
                                 init);
}

/// Halves an image, or doubles it.
std::shared_ptr<Layer> resizing(const ResidualConvConfig& config, LayerKind kind, int64_t from, int64_t to, Stream& init) {
  return std::make_shared<Layer>(LayerOptions{.kind = kind,
                                              .in = from,
                                              .out = to,
                                              .kernel = 4,
                                              .stride = 2,
                                              .padding = 1,
                                              .parametrization = config.parametrization,
                                              .init = config.init},
                                 init);
}

class PlainResidualBlock final : public torch::nn::Module {
 public:
  PlainResidualBlock(const ResidualConvConfig& config, Stream& init) {
    const auto channels = config.channels.back();
    conv1_ = register_module("conv1", convolution(config, channels, config.residual_channels, 3, init));
    conv2_ = register_module("conv2", convolution(config, config.residual_channels, channels, 1, init));
  }
  Tensor forward(const Tensor& x) { return x + conv2_->forward(torch::relu(conv1_->forward(torch::relu(x)))); }

 private:
  std::shared_ptr<Layer> conv1_, conv2_;
};

using PlainResidualBlocks = std::vector<std::shared_ptr<PlainResidualBlock>>;

PlainResidualBlocks residual_blocks(const ResidualConvConfig& config, Stream& init) {
  PlainResidualBlocks blocks;
  for (int64_t i = 0; i < config.residual_blocks; ++i) blocks.push_back(std::make_shared<PlainResidualBlock>(config, init));
  return blocks;
}

/// "-16c-32c" or "-64c-2r".
std::string blocks_text(const ResidualConvConfig& config) {
  return config.residual_blocks > 0 ? "-" + std::to_string(config.residual_blocks) + "r" : "";
}

class ResidualConvEncoder final : public Encoder {
 public:
  ResidualConvEncoder(const ResidualConvConfig& config, const EncoderContext& context)
      : config_(config),
        input_shape_(context.input_shape),
        inner_(detail::halved(input_shape_, config.channels, "residual_conv encoder")) {
    int64_t from = input_shape_[0];
    for (const int64_t to : config.channels) {
      convs_.push_back(resizing(config, LayerKind::conv, from, to, context.init));
      from = to;
    }
    convs_.push_back(convolution(config, from, from, 3, context.init));
    blocks_ = residual_blocks(config, context.init);
    register_list(*this, "convs", convs_);
    register_list(*this, "blocks", blocks_);
  }

  Tensor forward(const Tensor& x) override {
    check_shape(x, joined({kAnyExtent}, input_shape_), "input of the residual_conv encoder");
    auto h = convs_.front()->forward(x);
    for (size_t i = 1; i < convs_.size(); ++i) h = convs_[i]->forward(torch::relu(h));
    for (const auto& block : blocks_) h = block->forward(h);
    return torch::relu(h).flatten(1);
  }
  int64_t num_features() const override { return detail::volume(inner_); }
  Shape map_shape() const override { return inner_; }
  std::string summary() const override {
    std::string words = detail::image_text(input_shape_);
    for (const int64_t channels : config_.channels) words += "-" + std::to_string(channels) + "c";
    return words + blocks_text(config_);
  }

 private:
  ResidualConvConfig config_;
  Shape input_shape_;
  Shape inner_;
  std::vector<std::shared_ptr<Layer>> convs_;
  PlainResidualBlocks blocks_;
};

class ResidualConvDecoder final : public Decoder {
 public:
  ResidualConvDecoder(const ResidualConvConfig& config, const DecoderContext& context)
      : config_(config),
        output_shape_(context.output_shape),
        map_(detail::latent_map(context, detail::halved(output_shape_, config.channels, "residual_conv decoder"),
                                "residual_conv decoder")) {
    int64_t from = config.channels.back();
    convs_.push_back(convolution(config, map_[0], from, 3, context.init));
    blocks_ = residual_blocks(config, context.init);
    for (size_t i = config.channels.size() - 1; i > 0; --i) {
      convs_.push_back(resizing(config, LayerKind::transposed_conv, from, config.channels[i - 1], context.init));
      from = config.channels[i - 1];
    }
    register_list(*this, "convs", convs_);
    register_list(*this, "blocks", blocks_);
    output_ = register_module("output", resizing(config, LayerKind::transposed_conv, from, output_shape_[0], context.init));
  }

  Tensor forward(const Tensor& z) override {
    check_shape(z, {kAnyExtent, detail::volume(map_)}, "input of the residual_conv decoder");
    auto h = convs_.front()->forward(z.reshape(joined({z.size(0)}, map_)));
    for (const auto& block : blocks_) h = block->forward(h);
    for (size_t i = 1; i < convs_.size(); ++i) h = convs_[i]->forward(torch::relu(h));
    return output_->forward(torch::relu(h));
  }
  std::string summary() const override {
    auto words = detail::image_text(map_) + blocks_text(config_);
    for (auto channels = config_.channels.rbegin(); channels != config_.channels.rend(); ++channels) {
      words += "-" + std::to_string(*channels) + "c";
    }
    return words + "-" + detail::image_text(output_shape_);
  }
  Tensor output_bias() override { return output_->bias(); }
  Tensor output_weight() override { return output_->trained_weight(); }

 private:
  ResidualConvConfig config_;
  Shape output_shape_;
  Shape map_;
  std::vector<std::shared_ptr<Layer>> convs_;
  PlainResidualBlocks blocks_;
  std::shared_ptr<Layer> output_;
};

}  // namespace

std::shared_ptr<Encoder> make_residual_conv_encoder(const ResidualConvConfig& config, const EncoderContext& context) {
  return std::make_shared<ResidualConvEncoder>(config, context);
}

std::shared_ptr<Decoder> make_residual_conv_decoder(const ResidualConvConfig& config, const DecoderContext& context) {
  return std::make_shared<ResidualConvDecoder>(config, context);
}

}  // namespace elbo
