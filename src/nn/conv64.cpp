#include "elbo/nn/conv64.h"

#include "elbo/nn/layer.h"
#include "images.h"

namespace elbo {
namespace {

constexpr int64_t kSize = 64;
constexpr int64_t kHidden = 256;
const Shape kInner = {64, 4, 4};

void check_size(const Shape& image, const std::string& who) {
  detail::check_image(image, who);
  if (image[1] == kSize && image[2] == kSize) return;
  throw ConfigError(who + ": takes 64 x 64 images, got " + std::to_string(image[1]) + " x " + std::to_string(image[2]) +
                    "; use type: conv for other sizes");
}

/// Halves or doubles an image of even size.
std::shared_ptr<Layer> conv(LayerKind kind, int64_t from, int64_t to, int64_t kernel, Init init, Stream& stream) {
  const LayerOptions options{
      .kind = kind, .in = from, .out = to, .kernel = kernel, .stride = 2, .padding = (kernel - 2) / 2, .init = weight_init(init)};
  return std::make_shared<Layer>(options, stream);
}

std::shared_ptr<Layer> linear(int64_t from, int64_t to, Init init, Stream& stream) {
  return std::make_shared<Layer>(LayerOptions{.in = from, .out = to, .init = weight_init(init)}, stream);
}

class Conv64Encoder final : public Encoder {
 public:
  Conv64Encoder(const Conv64EncoderConfig& config, const EncoderContext& context)
      : input_shape_(context.input_shape), activation_(config.activation) {
    check_size(input_shape_, "conv64 encoder");
    const int64_t kernel = config.inner_kernel == InnerKernel::k2 ? 2 : 4;
    const auto add = [&](int64_t from, int64_t to, int64_t size) {
      convs_.push_back(conv(LayerKind::conv, from, to, size, config.init, context.init));
    };
    add(input_shape_[0], 32, 4);
    add(32, 32, 4);
    add(32, 64, kernel);
    add(64, 64, kernel);
    register_list(*this, "convs", convs_);
    layers_ = {linear(detail::volume(kInner), kHidden, config.init, context.init)};
    register_list(*this, "layers", layers_);
  }

  Tensor forward(const Tensor& x) override {
    check_shape(x, joined({kAnyExtent}, input_shape_), "input of the conv64 encoder");
    Tensor h = x;
    for (const auto& layer : convs_) h = activate(layer->forward(h), activation_);
    return layers_.front()->forward(h.flatten(1), activation_);
  }
  int64_t num_features() const override { return kHidden; }
  std::string summary() const override { return detail::image_text(input_shape_) + "-32c-32c-64c-64c-256"; }

 private:
  Shape input_shape_;
  Activation activation_;
  std::vector<std::shared_ptr<Layer>> convs_;
  std::vector<std::shared_ptr<Layer>> layers_;
};

class Conv64Decoder final : public Decoder {
 public:
  Conv64Decoder(const Conv64DecoderConfig& config, const DecoderContext& context)
      : latent_size_(context.latent_size), output_shape_(context.output_shape), activation_(config.activation) {
    check_size(output_shape_, "conv64 decoder");
    layers_ = {linear(latent_size_, kHidden, config.init, context.init),
               linear(kHidden, detail::volume(kInner), config.init, context.init)};
    register_list(*this, "layers", layers_);
    const auto doubling = [&](int64_t from, int64_t to) {
      return conv(LayerKind::transposed_conv, from, to, 4, config.init, context.init);
    };
    convs_ = {doubling(64, 64), doubling(64, 32), doubling(32, 32)};
    register_list(*this, "convs", convs_);
    output_ = register_module("output", doubling(32, output_shape_[0]));
  }

  Tensor forward(const Tensor& z) override {
    check_shape(z, {kAnyExtent, latent_size_}, "input of the conv64 decoder");
    Tensor h = z;
    for (const auto& layer : layers_) h = layer->forward(h, activation_);
    h = h.reshape(joined({z.size(0)}, kInner));
    for (const auto& layer : convs_) h = activate(layer->forward(h), activation_);
    return output_->forward(h);
  }
  std::string summary() const override {
    return std::to_string(latent_size_) + "-256-64x4x4-64c-32c-32c-" + detail::image_text(output_shape_);
  }
  Tensor output_bias() override { return output_->bias(); }
  Tensor output_weight() override { return output_->trained_weight(); }

 private:
  int64_t latent_size_;
  Shape output_shape_;
  Activation activation_;
  std::vector<std::shared_ptr<Layer>> layers_;
  std::vector<std::shared_ptr<Layer>> convs_;
  std::shared_ptr<Layer> output_;
};

}  // namespace

std::shared_ptr<Encoder> make_conv64_encoder(const Conv64EncoderConfig& config, const EncoderContext& context) {
  return std::make_shared<Conv64Encoder>(config, context);
}

std::shared_ptr<Decoder> make_conv64_decoder(const Conv64DecoderConfig& config, const DecoderContext& context) {
  return std::make_shared<Conv64Decoder>(config, context);
}

}  // namespace elbo
