#include "elbo/nn/sequence_transformer.h"

#include <ATen/ops/scaled_dot_product_attention.h>

#include "elbo/base/error.h"
#include "elbo/nn/layer.h"
#include "elbo/nn/norm.h"

namespace elbo {
namespace {

using LayerPtr = std::shared_ptr<Layer>;

LayerPtr linear_layer(torch::nn::Module& parent, const std::string& name, const SequenceTransformerConfig& config, int64_t from,
                      int64_t to, Stream& init) {
  return parent.register_module(
      name, std::make_shared<Layer>(LayerOptions{.in = from, .out = to, .init = weight_init(config.init)}, init));
}

std::shared_ptr<NormLayer> layer_norm(torch::nn::Module& parent, const std::string& name, int64_t width) {
  return parent.register_module(name, make_norm({.norm = Norm::layer, .channels = width}));
}

/// Self-attention and the wide layer. Shapes: [B T, width] -> the same.
class AttentionBlock final : public torch::nn::Module {
 public:
  AttentionBlock(const SequenceTransformerConfig& config, Stream& init) : config_(config) {
    const auto width = config.width;
    attention_norm_ = layer_norm(*this, "attention_norm", width);
    attention_ = linear_layer(*this, "attention", config, width, 3 * width, init);
    attention_output_ = linear_layer(*this, "attention_output", config, width, width, init);
    wide_norm_ = layer_norm(*this, "wide_norm", width);
    wide_ = linear_layer(*this, "wide", config, width, 4 * width, init);
    wide_output_ = linear_layer(*this, "wide_output", config, 4 * width, width, init);
  }

  Tensor forward(const Tensor& rows, int64_t T) {
    const auto split = attention_->forward(attention_norm_->forward(rows))
                           .view({-1, T, 3, config_.heads, config_.width / config_.heads})
                           .permute({2, 0, 3, 1, 4});  // [3, B, heads, T, width / heads]
    const auto mixed = at::scaled_dot_product_attention(split[0], split[1], split[2]);
    const auto h = rows + attention_output_->forward(mixed.transpose(1, 2).reshape(rows.sizes()));
    return h + wide_output_->forward(wide_->forward(wide_norm_->forward(h), config_.activation));
  }

 private:
  SequenceTransformerConfig config_;
  std::shared_ptr<NormLayer> attention_norm_, wide_norm_;
  LayerPtr attention_, attention_output_, wide_, wide_output_;
};

void check_sequence(const Shape& shape, std::string_view what) {
  if (shape.size() == 2) return;
  throw ConfigError(std::string(what) + ": takes rows of numbers, [T, F], got " + shape_text(shape) +
                    "; choose mlp or a network for images");
}

/// What encoder and decoder share: places, blocks and the last normalisation. Registered in the network itself.
class AttentionBlocks {
 public:
  AttentionBlocks(torch::nn::Module& owner, const SequenceTransformerConfig& config, int64_t T, Stream& init) : T_(T) {
    constexpr double kSpread = 0.02;
    const auto W = static_cast<double>(config.width);
    check_num_parameters(static_cast<double>(config.layers) * 12 * W * W + static_cast<double>(T) * W, "sequence_transformer");
    places_ = owner.register_parameter("places", kSpread * init.normal({T}, {config.width}).to(at::kFloat));
    for (int64_t i = 0; i < config.layers; ++i) blocks_.push_back(std::make_shared<AttentionBlock>(config, init));
    register_list(owner, "blocks", blocks_);
    norm_ = layer_norm(owner, "norm", config.width);
  }

  /// Shapes: [B, T, width] or [B, 1, width] -> [B T, width].
  Tensor operator()(const Tensor& rows) {
    auto h = (rows + places_).flatten(0, 1);
    for (const auto& block : blocks_) h = block->forward(h, T_);
    return norm_->forward(h);
  }

 private:
  int64_t T_;
  Tensor places_;
  std::vector<std::shared_ptr<AttentionBlock>> blocks_;
  std::shared_ptr<NormLayer> norm_;
};

std::string blocks_text(const SequenceTransformerConfig& config) {
  return std::to_string(config.width) + " x " + std::to_string(config.layers) + " blocks";
}

class SequenceTransformerEncoder final : public Encoder {
 public:
  SequenceTransformerEncoder(const SequenceTransformerConfig& config, const EncoderContext& context)
      : config_(config), input_shape_(context.input_shape) {
    check_sequence(input_shape_, "sequence_transformer encoder");
    entry_ = linear_layer(*this, "entry", config, input_shape_[1], config.width, context.init);
    blocks_ = std::make_unique<AttentionBlocks>(*this, config, input_shape_[0], context.init);
  }

  Tensor forward(const Tensor& x) override {
    check_shape(x, joined({kAnyExtent}, input_shape_), "input of the sequence_transformer encoder");
    const Shape rows = {x.size(0), input_shape_[0], config_.width};
    return (*blocks_)(entry_->forward(x.flatten(0, 1)).view(rows)).view(rows).mean(1);
  }
  int64_t num_features() const override { return config_.width; }
  std::string summary() const override { return shape_text(input_shape_) + "-" + blocks_text(config_); }

 private:
  SequenceTransformerConfig config_;
  Shape input_shape_;
  LayerPtr entry_;
  std::unique_ptr<AttentionBlocks> blocks_;
};

class SequenceTransformerDecoder final : public Decoder {
 public:
  SequenceTransformerDecoder(const SequenceTransformerConfig& config, const DecoderContext& context)
      : config_(config), latent_size_(context.latent_size), output_shape_(context.output_shape) {
    check_sequence(output_shape_, "sequence_transformer decoder");
    entry_ = linear_layer(*this, "entry", config, latent_size_, config.width, context.init);
    blocks_ = std::make_unique<AttentionBlocks>(*this, config, output_shape_[0], context.init);
    output_ = linear_layer(*this, "output", config, config.width, output_shape_[1], context.init);
  }

  Tensor forward(const Tensor& z) override {
    check_shape(z, {kAnyExtent, latent_size_}, "input of the sequence_transformer decoder");
    return output_->forward((*blocks_)(entry_->forward(z).unsqueeze(1))).view(joined({z.size(0)}, output_shape_));
  }
  std::string summary() const override {
    return std::to_string(latent_size_) + "-" + blocks_text(config_) + "-" + shape_text(output_shape_);
  }
  /// Its bias is one row's, the same at every place: no start for the data's mean.
  Tensor output_bias() override { return {}; }

 private:
  SequenceTransformerConfig config_;
  int64_t latent_size_;
  Shape output_shape_;
  LayerPtr entry_;
  std::unique_ptr<AttentionBlocks> blocks_;
  LayerPtr output_;
};

}  // namespace

std::shared_ptr<Encoder> make_sequence_transformer_encoder(const SequenceTransformerConfig& config,
                                                           const EncoderContext& context) {
  return std::make_shared<SequenceTransformerEncoder>(config, context);
}

std::shared_ptr<Decoder> make_sequence_transformer_decoder(const SequenceTransformerConfig& config,
                                                           const DecoderContext& context) {
  return std::make_shared<SequenceTransformerDecoder>(config, context);
}

}  // namespace elbo
