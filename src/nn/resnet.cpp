#include "elbo/nn/resnet.h"

#include "images.h"

namespace elbo {
namespace {

enum class Resize { keep, halve, twice };

std::shared_ptr<Layer> linear(const ResnetConfig& config, int64_t from, int64_t to, Stream& init) {
  return std::make_shared<Layer>(
      LayerOptions{.in = from, .out = to, .parametrization = config.parametrization, .init = config.init}, init);
}

/// 3 x 3 or 1 x 1, of stride 1 or 2, keeping the size but for the stride.
struct ConvShape {
  int64_t from = 0;
  int64_t to = 0;
  int64_t kernel = 3;
  int64_t stride = 1;
};

std::shared_ptr<Layer> conv(const ResnetConfig& config, const ConvShape& shape, Bias bias, Stream& init) {
  const LayerOptions options{.kind = LayerKind::conv,
                             .in = shape.from,
                             .out = shape.to,
                             .kernel = shape.kernel,
                             .stride = shape.stride,
                             .padding = shape.kernel / 2,
                             .bias = bias,
                             .parametrization = config.parametrization,
                             .init = config.init};
  return std::make_shared<Layer>(options, init);
}

std::shared_ptr<NormLayer> norm(const ResnetConfig& config, int64_t channels) {
  return make_norm({.norm = config.norm, .channels = channels, .groups = config.norm_groups});
}

/// Convolutions whose output is normalised next need no bias.
Bias bias_of(const ResnetConfig& config) { return config.norm == Norm::none ? Bias::yes : Bias::no; }

class Block final : public torch::nn::Module {
 public:
  Block(const ResnetConfig& config, int64_t from, int64_t to, Resize resize, Stream& init)
      : activation_(config.activation), resize_(resize) {
    const int64_t stride = resize == Resize::halve ? 2 : 1;
    norm1_ = register_module("norm1", norm(config, from));
    conv1_ = register_module("conv1", conv(config, {.from = from, .to = to, .stride = stride}, bias_of(config), init));
    norm2_ = register_module("norm2", norm(config, to));
    conv2_ = register_module("conv2", conv(config, {.from = to, .to = to}, bias_of(config), init));
    if (resize == Resize::keep && from == to) return;
    const ConvShape shape{.from = from, .to = to, .kernel = 1, .stride = stride};
    shortcut_ = register_module("shortcut", conv(config, shape, Bias::no, init));
  }

  Tensor forward(const Tensor& x) {
    auto h = activate(norm1_->forward(x), activation_);
    if (resize_ == Resize::twice) h = torch::upsample_nearest2d(h, {2 * h.size(2), 2 * h.size(3)});
    const auto shortcut = shortcut_ ? shortcut_->forward(h) : x;
    return shortcut + conv2_->forward(activate(norm2_->forward(conv1_->forward(h)), activation_));
  }

 private:
  Activation activation_;
  Resize resize_;
  std::shared_ptr<NormLayer> norm1_, norm2_;
  std::shared_ptr<Layer> conv1_, conv2_, shortcut_;
};

using Blocks = std::vector<std::shared_ptr<Block>>;

void add_stage(Blocks& blocks, const ResnetConfig& config, int64_t from, int64_t to, Resize resize, Stream& init) {
  blocks.push_back(std::make_shared<Block>(config, from, to, resize, init));
  for (int64_t i = 1; i < config.blocks; ++i) blocks.push_back(std::make_shared<Block>(config, to, to, Resize::keep, init));
}

/// "32r2": two residual blocks of 32 channels.
std::string stage_text(const ResnetConfig& config, int64_t channels) {
  return "-" + std::to_string(channels) + "r" + std::to_string(config.blocks);
}

class ResnetEncoder final : public Encoder {
 public:
  ResnetEncoder(const ResnetConfig& config, const EncoderContext& context)
      : config_(config),
        input_shape_(context.input_shape),
        inner_(detail::halved(input_shape_, config.channels, "resnet encoder")) {
    int64_t from = config.channels.front();
    stem_ = register_module("stem", conv(config, {.from = input_shape_[0], .to = from}, bias_of(config), context.init));
    for (const int64_t to : config.channels) {
      add_stage(blocks_, config, from, to, Resize::halve, context.init);
      from = to;
    }
    register_list(*this, "blocks", blocks_);
    norm_ = register_module("norm", norm(config, from));
    layers_ = {linear(config, detail::volume(inner_), config.hidden, context.init)};
    register_list(*this, "layers", layers_);
  }

  Tensor forward(const Tensor& x) override {
    check_shape(x, joined({kAnyExtent}, input_shape_), "input of the resnet encoder");
    auto h = stem_->forward(x);
    for (const auto& block : blocks_) h = block->forward(h);
    h = activate(norm_->forward(h), config_.activation);
    return layers_.front()->forward(h.flatten(1), config_.activation);
  }
  int64_t num_features() const override { return config_.hidden; }
  std::string summary() const override {
    std::string words = detail::image_text(input_shape_);
    for (const int64_t channels : config_.channels) words += stage_text(config_, channels);
    return words + "-" + std::to_string(config_.hidden);
  }

 private:
  ResnetConfig config_;
  Shape input_shape_;
  Shape inner_;
  std::shared_ptr<Layer> stem_;
  Blocks blocks_;
  std::shared_ptr<NormLayer> norm_;
  std::vector<std::shared_ptr<Layer>> layers_;
};

class ResnetDecoder final : public Decoder {
 public:
  ResnetDecoder(const ResnetConfig& config, const DecoderContext& context)
      : config_(config),
        latent_size_(context.latent_size),
        output_shape_(context.output_shape),
        inner_(detail::halved(output_shape_, config.channels, "resnet decoder")) {
    layers_ = {linear(config, latent_size_, config.hidden, context.init),
               linear(config, config.hidden, detail::volume(inner_), context.init)};
    register_list(*this, "layers", layers_);
    int64_t from = inner_[0];
    for (auto to = config.channels.rbegin(); to != config.channels.rend(); from = *to++) {
      add_stage(blocks_, config, from, *to, Resize::twice, context.init);
    }
    register_list(*this, "blocks", blocks_);
    norm_ = register_module("norm", norm(config, from));
    output_ = register_module("output", conv(config, {.from = from, .to = output_shape_[0]}, Bias::yes, context.init));
  }

  Tensor forward(const Tensor& z) override { return output(features(z)); }
  Tensor output(const Tensor& features) override { return output_->forward(features); }
  Tensor features(const Tensor& z) override {
    check_shape(z, {kAnyExtent, latent_size_}, "input of the resnet decoder");
    auto h = layers_[0]->forward(z, config_.activation);
    h = layers_[1]->forward(h).reshape(joined({z.size(0)}, inner_));  // the first block activates it
    for (const auto& block : blocks_) h = block->forward(h);
    return activate(norm_->forward(h), config_.activation);
  }
  int64_t feature_channels() const override { return config_.channels.front(); }
  std::string summary() const override {
    std::string words = std::to_string(latent_size_) + "-" + std::to_string(config_.hidden) + "-" + detail::image_text(inner_);
    for (auto channels = config_.channels.rbegin(); channels != config_.channels.rend(); ++channels) {
      words += stage_text(config_, *channels);
    }
    return words + "-" + detail::image_text(output_shape_);
  }
  Tensor output_bias() override { return output_->bias(); }
  Tensor output_weight() override { return output_->trained_weight(); }

 private:
  ResnetConfig config_;
  int64_t latent_size_;
  Shape output_shape_;
  Shape inner_;
  std::vector<std::shared_ptr<Layer>> layers_;
  Blocks blocks_;
  std::shared_ptr<NormLayer> norm_;
  std::shared_ptr<Layer> output_;
};

}  // namespace

std::shared_ptr<Encoder> make_resnet_encoder(const ResnetConfig& config, const EncoderContext& context) {
  return std::make_shared<ResnetEncoder>(config, context);
}

std::shared_ptr<Decoder> make_resnet_decoder(const ResnetConfig& config, const DecoderContext& context) {
  return std::make_shared<ResnetDecoder>(config, context);
}

}  // namespace elbo
