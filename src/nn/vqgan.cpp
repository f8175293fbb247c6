#include "elbo/nn/vqgan.h"

#include "attention.h"
#include "elbo/base/error.h"
#include "images.h"

namespace elbo {
namespace {

constexpr double kVqganEpsilon = 1e-6;

NormOptions vqgan_norm(const VqganNetworkConfig& config, int64_t channels) {
  return {.norm = Norm::group, .channels = channels, .groups = config.norm_groups, .epsilon = kVqganEpsilon};
}

std::shared_ptr<Layer> vqgan_conv(int64_t from, int64_t to, int64_t kernel, Stream& init) {
  const LayerOptions options{.kind = LayerKind::conv, .in = from, .out = to, .kernel = kernel, .padding = kernel / 2};
  return std::make_shared<Layer>(options, init);
}

Tensor swish(const Tensor& x) { return torch::silu(x); }

class VqganBlock final : public torch::nn::Module {
 public:
  VqganBlock(const VqganNetworkConfig& config, int64_t from, int64_t to, Stream& init) {
    norm1_ = register_module("norm1", make_norm(vqgan_norm(config, from)));
    conv1_ = register_module("conv1", vqgan_conv(from, to, 3, init));
    norm2_ = register_module("norm2", make_norm(vqgan_norm(config, to)));
    conv2_ = register_module("conv2", vqgan_conv(to, to, 3, init));
    if (from != to) shortcut_ = register_module("shortcut", vqgan_conv(from, to, 1, init));
  }
  Tensor forward(const Tensor& x) {
    const auto h = conv1_->forward(swish(norm1_->forward(x)));
    return (shortcut_ ? shortcut_->forward(x) : x) + conv2_->forward(swish(norm2_->forward(h)));
  }

 private:
  std::shared_ptr<NormLayer> norm1_, norm2_;
  std::shared_ptr<Layer> conv1_, conv2_, shortcut_;
};

enum class VqganResize { keep, halve, twice };

/// The blocks of one size and what leads to the next.
struct VqganSize {
  int64_t from = 0;
  int64_t to = 0;
  int64_t blocks = 0;
  int64_t height = 0;
  VqganResize resize = VqganResize::keep;
};

class VqganStage final : public torch::nn::Module {
 public:
  VqganStage(const VqganNetworkConfig& config, const VqganSize& size, Stream& init) : resize_(size.resize) {
    for (int64_t i = 0; i < size.blocks; ++i) {
      blocks_.push_back(std::make_shared<VqganBlock>(config, i == 0 ? size.from : size.to, size.to, init));
      if (size.height > config.attention_size) continue;
      attentions_.push_back(std::make_shared<detail::MapAttention>(vqgan_norm(config, size.to), init));
    }
    register_list(*this, "blocks", blocks_);
    register_list(*this, "attentions", attentions_);
    if (resize_ == VqganResize::keep) return;
    LayerOptions options{.kind = LayerKind::conv, .in = size.to, .out = size.to, .kernel = 3, .padding = 1};
    if (resize_ == VqganResize::halve) options.stride = 2, options.padding = 0;
    change_ = register_module("resize", std::make_shared<Layer>(options, init));
  }
  Tensor forward(const Tensor& x) {
    auto h = x;
    for (size_t i = 0; i < blocks_.size(); ++i) {
      h = blocks_[i]->forward(h);
      if (!attentions_.empty()) h = attentions_[i]->forward(h);
    }
    if (resize_ == VqganResize::keep) return h;
    // Padded right and below only, as the published weights want it.
    if (resize_ == VqganResize::halve) return change_->forward(torch::constant_pad_nd(h, {0, 1, 0, 1}));
    return change_->forward(torch::upsample_nearest2d(h, {2 * h.size(2), 2 * h.size(3)}));
  }

 private:
  VqganResize resize_;
  std::vector<std::shared_ptr<VqganBlock>> blocks_;
  std::vector<std::shared_ptr<detail::MapAttention>> attentions_;
  std::shared_ptr<Layer> change_;
};

class VqganMiddle final : public torch::nn::Module {
 public:
  VqganMiddle(const VqganNetworkConfig& config, int64_t channels, Stream& init) {
    block1_ = register_module("block1", std::make_shared<VqganBlock>(config, channels, channels, init));
    attention_ = register_module("attention", std::make_shared<detail::MapAttention>(vqgan_norm(config, channels), init));
    block2_ = register_module("block2", std::make_shared<VqganBlock>(config, channels, channels, init));
  }
  Tensor forward(const Tensor& x) { return block2_->forward(attention_->forward(block1_->forward(x))); }

 private:
  std::shared_ptr<VqganBlock> block1_, block2_;
  std::shared_ptr<detail::MapAttention> attention_;
};

std::vector<int64_t> vqgan_channels(const VqganNetworkConfig& config) {
  auto channels = config.multipliers;
  for (auto& value : channels) value *= config.channels;
  return channels;
}

/// The smallest map, of the image's [C, H, W]. Throws: ConfigError.
Shape vqgan_inner(const VqganNetworkConfig& config, const Shape& image, const std::string& who) {
  auto halvings = vqgan_channels(config);
  halvings.erase(halvings.begin());
  if (!halvings.empty()) return detail::halved(image, halvings, who);
  detail::check_image(image, who);
  return {config.channels * config.multipliers.front(), image[1], image[2]};
}

std::string vqgan_text(const std::vector<int64_t>& channels, int64_t blocks) {
  std::string words;
  for (const auto value : channels) words += "-" + std::to_string(value) + "r" + std::to_string(blocks);
  return words;
}

class VqganEncoder final : public Encoder {
 public:
  VqganEncoder(const VqganNetworkConfig& config, const EncoderContext& context)
      : config_(config), input_shape_(context.input_shape), inner_(vqgan_inner(config, input_shape_, "vqgan encoder")) {
    const auto channels = vqgan_channels(config);
    stem_ = register_module("stem", vqgan_conv(input_shape_[0], config.channels, 3, context.init));
    VqganSize size{.from = config.channels, .blocks = config.blocks, .height = input_shape_[1]};
    for (size_t i = 0; i < channels.size(); ++i, size.height /= 2) {
      size.to = channels[i];
      size.resize = i + 1 < channels.size() ? VqganResize::halve : VqganResize::keep;
      sizes_.push_back(std::make_shared<VqganStage>(config, size, context.init));
      size.from = size.to;
    }
    register_list(*this, "sizes", sizes_);
    middle_ = register_module("middle", std::make_shared<VqganMiddle>(config, inner_[0], context.init));
    norm_ = register_module("norm", make_norm(vqgan_norm(config, inner_[0])));
    output_ = register_module("output", vqgan_conv(inner_[0], config.features, 3, context.init));
  }

  Tensor forward(const Tensor& x) override {
    check_shape(x, joined({kAnyExtent}, input_shape_), "input of the vqgan encoder");
    auto h = stem_->forward(x);
    for (const auto& size : sizes_) h = size->forward(h);
    return output_->forward(swish(norm_->forward(middle_->forward(h)))).flatten(1);
  }
  int64_t num_features() const override { return detail::volume(map_shape()); }
  Shape map_shape() const override { return {config_.features, inner_[1], inner_[2]}; }
  std::string summary() const override {
    return detail::image_text(input_shape_) + vqgan_text(vqgan_channels(config_), config_.blocks) + "-" +
           detail::image_text(map_shape());
  }

 private:
  VqganNetworkConfig config_;
  Shape input_shape_;
  Shape inner_;
  std::shared_ptr<Layer> stem_, output_;
  std::vector<std::shared_ptr<VqganStage>> sizes_;
  std::shared_ptr<VqganMiddle> middle_;
  std::shared_ptr<NormLayer> norm_;
};

class VqganDecoder final : public Decoder {
 public:
  VqganDecoder(const VqganNetworkConfig& config, const DecoderContext& context)
      : config_(config),
        output_shape_(context.output_shape),
        inner_(vqgan_inner(config, output_shape_, "vqgan decoder")),
        map_(detail::latent_map(context, inner_, "vqgan decoder")) {
    const auto channels = vqgan_channels(config);
    stem_ = register_module("stem", vqgan_conv(map_[0], inner_[0], 3, context.init));
    middle_ = register_module("middle", std::make_shared<VqganMiddle>(config, inner_[0], context.init));
    VqganSize size{.from = inner_[0], .blocks = config.blocks + 1, .height = inner_[1]};
    for (size_t i = channels.size(); i-- > 0; size.height *= 2) {
      size.to = channels[i];
      size.resize = i > 0 ? VqganResize::twice : VqganResize::keep;
      sizes_.push_back(std::make_shared<VqganStage>(config, size, context.init));
      size.from = size.to;
    }
    register_list(*this, "sizes", sizes_);
    norm_ = register_module("norm", make_norm(vqgan_norm(config, size.to)));
    output_ = register_module("output", vqgan_conv(size.to, output_shape_[0], 3, context.init));
  }

  Tensor forward(const Tensor& z) override { return output(features(z)); }
  Tensor output(const Tensor& features) override { return output_->forward(features); }
  Tensor features(const Tensor& z) override {
    check_shape(z, {kAnyExtent, detail::volume(map_)}, "input of the vqgan decoder");
    auto h = middle_->forward(stem_->forward(z.reshape(joined({z.size(0)}, map_))));
    for (const auto& size : sizes_) h = size->forward(h);
    return swish(norm_->forward(h));
  }
  int64_t feature_channels() const override { return vqgan_channels(config_).front(); }
  std::string summary() const override {
    const auto channels = vqgan_channels(config_);
    return detail::image_text(map_) + vqgan_text({channels.rbegin(), channels.rend()}, config_.blocks + 1) + "-" +
           detail::image_text(output_shape_);
  }
  Tensor output_bias() override { return output_->bias(); }
  Tensor output_weight() override { return output_->trained_weight(); }

 private:
  VqganNetworkConfig config_;
  Shape output_shape_;
  Shape inner_;
  Shape map_;
  std::shared_ptr<Layer> stem_, output_;
  std::vector<std::shared_ptr<VqganStage>> sizes_;
  std::shared_ptr<VqganMiddle> middle_;
  std::shared_ptr<NormLayer> norm_;
};

}  // namespace

std::shared_ptr<Encoder> make_vqgan_encoder(const VqganNetworkConfig& config, const EncoderContext& context) {
  return std::make_shared<VqganEncoder>(config, context);
}

std::shared_ptr<Decoder> make_vqgan_decoder(const VqganNetworkConfig& config, const DecoderContext& context) {
  return std::make_shared<VqganDecoder>(config, context);
}

}  // namespace elbo
