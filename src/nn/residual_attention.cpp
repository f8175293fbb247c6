#include "elbo/nn/residual_attention.h"

#include <ATen/Context.h>

#include <algorithm>

#include "elbo/math/precision.h"
#include "elbo/nn/norm.h"
#include "images.h"

namespace elbo {
namespace {

using Convs = std::vector<std::shared_ptr<Layer>>;

std::shared_ptr<Layer> unpadded(int64_t from, int64_t to, int64_t kernel, Stream& init, Bias bias = Bias::yes) {
  return std::make_shared<Layer>(LayerOptions{.kind = LayerKind::conv, .in = from, .out = to, .kernel = kernel, .bias = bias},
                                 init);
}

/// LibTorch's own padding and resizing have backward passes on CUDA that add in no fixed order.
bool must_be_repeatable() { return at::globalContext().deterministicAlgorithms(); }

/// `margin` places more on both sides of an axis, the edge itself not repeated.
Tensor mirrored_along(const Tensor& x, int64_t axis, int64_t margin) {
  const auto before = x.narrow(axis, 1, margin), after = x.narrow(axis, x.size(axis) - 1 - margin, margin);
  return torch::cat({before.flip(axis), x, after.flip(axis)}, axis);
}

/// The convolution of a map that is mirrored at its edges, so that the size stays.
Tensor mirrored(Layer& conv, const Tensor& x, int64_t kernel) {
  const auto margin = kernel / 2;
  if (must_be_repeatable()) return conv.forward(mirrored_along(mirrored_along(x, 2, margin), 3, margin));
  return conv.forward(torch::reflection_pad2d(x, {margin, margin, margin, margin}));
}

/// What each of `to` places takes of each of `from`, linearly between two of them, the corners aligned. Shapes: [to, from].
Tensor linear_shares(int64_t from, int64_t to, const Tensor& like) {
  const auto places = like.options().dtype(torch::kDouble).requires_grad(false);
  const auto at = torch::arange(to, places) * (static_cast<double>(from - 1) / static_cast<double>(std::max<int64_t>(1, to - 1)));
  return (1 - (at.unsqueeze(1) - torch::arange(from, places)).abs()).clamp_min(0).to(like.scalar_type());
}

/// Bilinear, the corners aligned. Shapes: [B, C, h, w] -> [B, C, height, width].
Tensor resized(const Tensor& x, int64_t height, int64_t width) {
  constexpr bool kCornersAligned = true;
  if (!must_be_repeatable()) return torch::upsample_bilinear2d(x, {height, width}, kCornersAligned);
  const FullPrecisionScope precise(x.device());
  const auto map = full_precision(x);
  const auto rows = linear_shares(x.size(2), height, map), columns = linear_shares(x.size(3), width, map);
  return torch::matmul(torch::matmul(rows, map), columns.t()).to(x.scalar_type());
}

/// Mirroring takes more places than it adds; a block works at half the size too.
void check_mirrors(const Shape& map, int64_t kernel, const std::string& who) {
  const auto least = 2 * (kernel / 2 + 1);
  if (map[1] >= least && map[2] >= least) return;
  throw ConfigError(who + ": a kernel of " + std::to_string(kernel) + " needs maps of at least " + std::to_string(least) + " x " +
                    std::to_string(least) + ", got " + std::to_string(map[1]) + " x " + std::to_string(map[2]) +
                    "; give a smaller kernel");
}

class MaskedTrunk final : public torch::nn::Module {
 public:
  MaskedTrunk(int64_t channels, int64_t kernel, Stream& init) : kernels_{kernel, 3, 3} {
    for (const auto side : kernels_) trunk_.push_back(unpadded(channels, channels, side, init));
    for (const auto side : kernels_) mask_.push_back(unpadded(channels, channels, side, init));
    register_list(*this, "trunk", trunk_);
    register_list(*this, "mask", mask_);
  }

  Tensor forward(const Tensor& x) {
    const auto coarse = through(mask_, torch::max_pool2d(x, 2));
    const auto mask = resized(coarse, x.size(2), x.size(3)).sigmoid();
    return torch::silu(x + mask * through(trunk_, x));
  }

 private:
  Tensor through(const Convs& convs, Tensor x) {
    for (size_t i = 0; i < convs.size(); ++i) x = mirrored(*convs[i], i > 0 ? torch::silu(x) : x, kernels_[i]);
    return x;
  }

  std::array<int64_t, 3> kernels_;
  Convs trunk_, mask_;
};

using MaskedTrunks = std::vector<std::shared_ptr<MaskedTrunk>>;

std::shared_ptr<NormLayer> channel_norm(int64_t channels) { return make_norm({.norm = Norm::batch, .channels = channels}); }

std::string attention_text(int64_t blocks) { return blocks > 0 ? "-" + std::to_string(blocks) + "a" : ""; }

class ResidualAttentionEncoder final : public Encoder {
 public:
  ResidualAttentionEncoder(const ResidualAttentionConfig& config, const EncoderContext& context)
      : config_(config), input_shape_(context.input_shape) {
    detail::check_image(input_shape_, "residual_attention encoder");
    check_mirrors(input_shape_, config.kernel, "residual_attention encoder");
    auto from = input_shape_[0];
    for (const auto to : config.channels) {
      convs_.push_back(unpadded(from, to, kernel_of(convs_.size()), context.init, Bias::no));  // normalised next
      norms_.push_back(channel_norm(to));
      from = to;
    }
    for (int64_t i = 0; i < config.blocks; ++i)
      blocks_.push_back(std::make_shared<MaskedTrunk>(from, config.kernel, context.init));
    register_list(*this, "convs", convs_);
    register_list(*this, "norms", norms_);
    register_list(*this, "blocks", blocks_);
  }

  Tensor forward(const Tensor& x) override {
    check_shape(x, joined({kAnyExtent}, input_shape_), "input of the residual_attention encoder");
    auto h = x;
    for (size_t i = 0; i < convs_.size(); ++i) h = torch::silu(norms_[i]->forward(mirrored(*convs_[i], h, kernel_of(i))));
    for (const auto& block : blocks_) h = block->forward(h);
    return h.flatten(1);
  }
  int64_t num_features() const override { return detail::volume(map_shape()); }
  Shape map_shape() const override { return {config_.channels.back(), input_shape_[1], input_shape_[2]}; }
  std::string summary() const override {
    auto words = detail::image_text(input_shape_);
    for (const auto channels : config_.channels) words += "-" + std::to_string(channels) + "c";
    return words + attention_text(config_.blocks);
  }

 private:
  int64_t kernel_of(size_t layer) const { return layer == 0 ? config_.kernel : 3; }

  ResidualAttentionConfig config_;
  Shape input_shape_;
  Convs convs_;
  std::vector<std::shared_ptr<NormLayer>> norms_;
  MaskedTrunks blocks_;
};

/// How often a map doubles to the output's size.
int64_t num_doublings(const Shape& map, const Shape& output) {
  auto h = map[1], w = map[2];
  int64_t count = 0;
  for (; h < output[1]; h *= 2, w *= 2) ++count;
  if (h == output[1] && w == output[2]) return count;
  throw ConfigError("residual_attention decoder: got latents of shape " + shape_text(map) + " for an output of " +
                    detail::image_text(output) + ", which is not that map doubled some times");
}

class ResidualAttentionDecoder final : public Decoder {
 public:
  ResidualAttentionDecoder(const ResidualAttentionConfig& config, const DecoderContext& context)
      : config_(config), latent_size_(context.latent_size), map_(context.latent_map), output_shape_(context.output_shape) {
    detail::check_image(output_shape_, "residual_attention decoder");
    if (map_.empty()) {
      map_ = {config.channels.back(), output_shape_[1] / 2, output_shape_[2] / 2};
      layers_ = {std::make_shared<Layer>(LayerOptions{.in = latent_size_, .out = detail::volume(map_)}, context.init)};
    }
    check_mirrors(map_, config.kernel, "residual_attention decoder");
    num_doublings_ = num_doublings(map_, output_shape_);
    auto from = map_[0];
    for (auto to = config.channels.rbegin(); to != config.channels.rend(); from = *to++) add_conv(from, *to, context.init);
    for (size_t i = 0; i < config.channels.size() + 2; ++i) {
      const auto channels = i < config.channels.size() ? config.channels[config.channels.size() - 1 - i] : from;
      blocks_.push_back(std::make_shared<MaskedTrunk>(channels, config.kernel, context.init));
    }
    for (int64_t i = 0; i < num_doublings_; ++i) add_conv(from, from, context.init);
    register_list(*this, "layers", layers_);
    register_list(*this, "convs", convs_);
    register_list(*this, "norms", norms_);
    register_list(*this, "blocks", blocks_);
    output_ = register_module("output", unpadded(from, output_shape_[0], config.kernel, context.init));
  }

  Tensor forward(const Tensor& z) override { return output(features(z)); }
  Tensor output(const Tensor& features) override { return mirrored(*output_, features, config_.kernel); }
  Tensor features(const Tensor& z) override {
    check_shape(z, {kAnyExtent, latent_size_}, "input of the residual_attention decoder");
    auto h = (layers_.empty() ? z : layers_[0]->forward(z)).reshape(joined({z.size(0)}, map_));
    size_t conv = 0;
    for (; conv < config_.channels.size(); ++conv) h = blocks_[conv]->forward(normalised(conv, h));
    for (size_t block = conv; block < blocks_.size(); ++block) h = blocks_[block]->forward(h);
    for (; conv < convs_.size(); ++conv) {
      h = torch::silu(normalised(conv, resized(h, 2 * h.size(2), 2 * h.size(3))));
    }
    return h;
  }
  int64_t feature_channels() const override { return config_.channels.front(); }
  std::string summary() const override {
    auto words = detail::image_text(map_);
    for (auto channels = config_.channels.rbegin(); channels != config_.channels.rend(); ++channels) {
      words += "-" + std::to_string(*channels) + "c" + attention_text(1);
    }
    return words + attention_text(2) + "-" + detail::image_text(output_shape_);
  }
  Tensor output_bias() override { return output_->bias(); }
  Tensor output_weight() override { return output_->trained_weight(); }

 private:
  void add_conv(int64_t from, int64_t to, Stream& init) {
    convs_.push_back(unpadded(from, to, 3, init, Bias::no));
    norms_.push_back(channel_norm(to));
  }
  Tensor normalised(size_t conv, const Tensor& x) { return norms_[conv]->forward(mirrored(*convs_[conv], x, 3)); }

  ResidualAttentionConfig config_;
  int64_t latent_size_;
  Shape map_;
  Shape output_shape_;
  int64_t num_doublings_ = 0;
  Convs layers_, convs_;
  std::vector<std::shared_ptr<NormLayer>> norms_;
  MaskedTrunks blocks_;
  std::shared_ptr<Layer> output_;
};

}  // namespace

std::shared_ptr<Encoder> make_residual_attention_encoder(const ResidualAttentionConfig& config, const EncoderContext& context) {
  return std::make_shared<ResidualAttentionEncoder>(config, context);
}

std::shared_ptr<Decoder> make_residual_attention_decoder(const ResidualAttentionConfig& config, const DecoderContext& context) {
  return std::make_shared<ResidualAttentionDecoder>(config, context);
}

}  // namespace elbo
