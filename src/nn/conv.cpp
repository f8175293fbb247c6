#include "elbo/nn/conv.h"

#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include "elbo/base/error.h"

namespace elbo {
namespace {

constexpr int64_t kKernel = 4;
constexpr int64_t kStride = 2;
constexpr int64_t kPadding = 1;

/// The smallest image [C, H, W], between the convolutions and the linear layers.
Shape inner_shape(const ConvConfig& config, const Shape& image, const std::string& who) {
  if (image.size() != 3) {
    throw ConfigError(who + ": needs images [C, H, W], got " + shape_text(image) + "; use type: mlp for other data");
  }
  const int64_t factor = int64_t{1} << config.channels.size();
  if (image[1] % factor != 0 || image[2] % factor != 0) {
    throw ConfigError(who + ": " + std::to_string(config.channels.size()) + " channels halve an image " +
                      std::to_string(config.channels.size()) + " times, so height and width must be divisible by " +
                      std::to_string(factor) + ", got " + std::to_string(image[1]) + " x " + std::to_string(image[2]) +
                      "; give fewer channels");
  }
  return {config.channels.back(), image[1] / factor, image[2] / factor};
}

/// Of the convolutions and the linear layers beside them; encoder and decoder are mirror images.
void check_size(const ConvConfig& config, const Shape& image, const Shape& inner, double latent_size, std::string_view what) {
  double total = 0;
  auto from = static_cast<double>(image[0]);
  for (const int64_t to : config.channels) {
    total += from * static_cast<double>(to) * kKernel * kKernel;
    from = static_cast<double>(to);
  }
  const double flat = static_cast<double>(inner[0]) * static_cast<double>(inner[1]) * static_cast<double>(inner[2]);
  check_num_parameters(total + (flat + latent_size) * static_cast<double>(config.hidden), what);
}

int64_t volume(const Shape& image) { return image[0] * image[1] * image[2]; }

std::string image_text(const Shape& image) {
  return std::to_string(image[0]) + "x" + std::to_string(image[1]) + "x" + std::to_string(image[2]);
}

class ConvEncoder final : public Encoder {
 public:
  ConvEncoder(const ConvConfig& config, const EncoderContext& context)
      : config_(config), input_shape_(context.input_shape), inner_(inner_shape(config, input_shape_, "conv encoder")) {
    check_size(config, input_shape_, inner_, 0, "conv encoder");
    const DefaultGeneratorGuard guard;
    int64_t from = input_shape_[0];
    for (const int64_t to : config.channels) {
      convs_->push_back(torch::nn::Conv2d(torch::nn::Conv2dOptions(from, to, kKernel).stride(kStride).padding(kPadding)));
      from = to;
    }
    register_module("convs", convs_);
    layers_->push_back(torch::nn::Linear(volume(inner_), config.hidden));
    register_module("layers", layers_);
    init_module(*this, config.init, context.init);
  }

  Tensor forward(const Tensor& x) override {
    check_shape(x, joined({kAnyExtent}, input_shape_), "input of the conv encoder");
    Tensor h = x;
    for (const auto& conv : *convs_) h = activate(conv->as<torch::nn::Conv2d>()->forward(h), config_.activation);
    return activate(layers_->at<torch::nn::LinearImpl>(0).forward(h.flatten(1)), config_.activation);
  }
  int64_t num_features() const override { return config_.hidden; }
  std::string summary() const override {
    std::string words = image_text(input_shape_);
    for (const int64_t channels : config_.channels) words += "-" + std::to_string(channels) + "c";
    return words + "-" + std::to_string(config_.hidden);
  }

 private:
  ConvConfig config_;
  Shape input_shape_;
  Shape inner_;
  torch::nn::ModuleList convs_;
  torch::nn::ModuleList layers_;
};

torch::nn::ConvTranspose2d doubling(int64_t from, int64_t to) {
  return torch::nn::ConvTranspose2d(torch::nn::ConvTranspose2dOptions(from, to, kKernel).stride(kStride).padding(kPadding));
}

class ConvDecoder final : public Decoder {
 public:
  ConvDecoder(const ConvConfig& config, const DecoderContext& context)
      : config_(config),
        latent_size_(context.latent_size),
        output_shape_(context.output_shape),
        inner_(inner_shape(config, output_shape_, "conv decoder")) {
    check_size(config, output_shape_, inner_, static_cast<double>(latent_size_), "conv decoder");
    const DefaultGeneratorGuard guard;
    layers_->push_back(torch::nn::Linear(latent_size_, config.hidden));
    layers_->push_back(torch::nn::Linear(config.hidden, volume(inner_)));
    register_module("layers", layers_);
    for (size_t i = config.channels.size() - 1; i > 0; --i)
      convs_->push_back(doubling(config.channels[i], config.channels[i - 1]));
    register_module("convs", convs_);
    output_ = register_module("output", doubling(config.channels.front(), output_shape_[0]));
    init_module(*this, config.init, context.init);
  }

  Tensor forward(const Tensor& z) override {
    check_shape(z, {kAnyExtent, latent_size_}, "input of the conv decoder");
    Tensor h = z;
    for (const auto& layer : *layers_) h = activate(layer->as<torch::nn::Linear>()->forward(h), config_.activation);
    h = h.reshape(joined({z.size(0)}, inner_));
    for (const auto& conv : *convs_) h = activate(conv->as<torch::nn::ConvTranspose2d>()->forward(h), config_.activation);
    return output_->forward(h);
  }
  std::string summary() const override {
    std::string words = std::to_string(latent_size_) + "-" + std::to_string(config_.hidden) + "-" + image_text(inner_);
    for (size_t i = config_.channels.size() - 1; i > 0; --i) words += "-" + std::to_string(config_.channels[i - 1]) + "c";
    return words + "-" + image_text(output_shape_);
  }
  Tensor output_bias() override { return output_->bias; }

 private:
  ConvConfig config_;
  int64_t latent_size_;
  Shape output_shape_;
  Shape inner_;
  torch::nn::ModuleList layers_;
  torch::nn::ModuleList convs_;
  torch::nn::ConvTranspose2d output_ = nullptr;
};

}  // namespace

std::shared_ptr<Encoder> make_conv_encoder(const ConvConfig& config, const EncoderContext& context) {
  return std::make_shared<ConvEncoder>(config, context);
}

std::shared_ptr<Decoder> make_conv_decoder(const ConvConfig& config, const DecoderContext& context) {
  return std::make_shared<ConvDecoder>(config, context);
}

}  // namespace elbo
