#include "elbo/nn/conv.h"

#include "images.h"

namespace elbo {
namespace {

constexpr int64_t kKernel = 4;
constexpr int64_t kStride = 2;
constexpr int64_t kPadding = 1;

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

LayerOptions halving(const ConvConfig& config, int64_t from, int64_t to) {
  return {.kind = LayerKind::conv,
          .in = from,
          .out = to,
          .kernel = kKernel,
          .stride = kStride,
          .padding = kPadding,
          .parametrization = config.parametrization,
          .init = weight_init(config.init)};
}

LayerOptions doubling(const ConvConfig& config, int64_t from, int64_t to) {
  auto options = halving(config, from, to);
  options.kind = LayerKind::transposed_conv;
  return options;
}

LayerOptions linear(const ConvConfig& config, int64_t from, int64_t to) {
  return {.in = from, .out = to, .parametrization = config.parametrization, .init = weight_init(config.init)};
}

class ConvEncoder final : public Encoder {
 public:
  ConvEncoder(const ConvConfig& config, const EncoderContext& context)
      : config_(config),
        input_shape_(context.input_shape),
        inner_(detail::halved(input_shape_, config.channels, "conv encoder")) {
    check_size(config, input_shape_, inner_, 0, "conv encoder");
    int64_t from = input_shape_[0];
    for (const int64_t to : config.channels) {
      convs_.push_back(std::make_shared<Layer>(halving(config, from, to), context.init));
      from = to;
    }
    register_list(*this, "convs", convs_);
    layers_.push_back(std::make_shared<Layer>(linear(config, detail::volume(inner_), config.hidden), context.init));
    register_list(*this, "layers", layers_);
  }

  Tensor forward(const Tensor& x) override {
    check_shape(x, joined({kAnyExtent}, input_shape_), "input of the conv encoder");
    Tensor h = x;
    for (const auto& conv : convs_) h = activate(conv->forward(h), config_.activation);
    return layers_.front()->forward(h.flatten(1), config_.activation);
  }
  int64_t num_features() const override { return config_.hidden; }
  std::string summary() const override {
    std::string words = detail::image_text(input_shape_);
    for (const int64_t channels : config_.channels) words += "-" + std::to_string(channels) + "c";
    return words + "-" + std::to_string(config_.hidden);
  }

 private:
  ConvConfig config_;
  Shape input_shape_;
  Shape inner_;
  std::vector<std::shared_ptr<Layer>> convs_;
  std::vector<std::shared_ptr<Layer>> layers_;
};

class ConvDecoder final : public Decoder {
 public:
  ConvDecoder(const ConvConfig& config, const DecoderContext& context)
      : config_(config),
        latent_size_(context.latent_size),
        output_shape_(context.output_shape),
        inner_(detail::halved(output_shape_, config.channels, "conv decoder")) {
    check_size(config, output_shape_, inner_, static_cast<double>(latent_size_), "conv decoder");
    layers_.push_back(std::make_shared<Layer>(linear(config, latent_size_, config.hidden), context.init));
    layers_.push_back(std::make_shared<Layer>(linear(config, config.hidden, detail::volume(inner_)), context.init));
    register_list(*this, "layers", layers_);
    for (size_t i = config.channels.size() - 1; i > 0; --i) {
      convs_.push_back(std::make_shared<Layer>(doubling(config, config.channels[i], config.channels[i - 1]), context.init));
    }
    register_list(*this, "convs", convs_);
    output_ = register_module("output",
                              std::make_shared<Layer>(doubling(config, config.channels.front(), output_shape_[0]), context.init));
  }

  Tensor forward(const Tensor& z) override {
    check_shape(z, {kAnyExtent, latent_size_}, "input of the conv decoder");
    Tensor h = z;
    for (const auto& layer : layers_) h = layer->forward(h, config_.activation);
    h = h.reshape(joined({z.size(0)}, inner_));
    for (const auto& conv : convs_) h = activate(conv->forward(h), config_.activation);
    return output_->forward(h);
  }
  std::string summary() const override {
    std::string words = std::to_string(latent_size_) + "-" + std::to_string(config_.hidden) + "-" + detail::image_text(inner_);
    for (size_t i = config_.channels.size() - 1; i > 0; --i) words += "-" + std::to_string(config_.channels[i - 1]) + "c";
    return words + "-" + detail::image_text(output_shape_);
  }
  Tensor output_bias() override { return output_->bias(); }
  Tensor output_weight() override { return output_->trained_weight(); }

 private:
  ConvConfig config_;
  int64_t latent_size_;
  Shape output_shape_;
  Shape inner_;
  std::vector<std::shared_ptr<Layer>> layers_;
  std::vector<std::shared_ptr<Layer>> convs_;
  std::shared_ptr<Layer> output_;
};

}  // namespace

std::shared_ptr<Encoder> make_conv_encoder(const ConvConfig& config, const EncoderContext& context) {
  return std::make_shared<ConvEncoder>(config, context);
}

std::shared_ptr<Decoder> make_conv_decoder(const ConvConfig& config, const DecoderContext& context) {
  return std::make_shared<ConvDecoder>(config, context);
}

}  // namespace elbo
