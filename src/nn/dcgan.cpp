#include "elbo/nn/dcgan.h"

#include "images.h"

namespace elbo {
namespace {

/// What encoder and decoder say alike of a layer.
template <class Config>
std::shared_ptr<Layer> layer(const Config& config, LayerKind kind, int64_t from, int64_t to, Norm followed_by, Stream& init) {
  LayerOptions options{.kind = kind,
                       .in = from,
                       .out = to,
                       .bias = followed_by == Norm::none ? Bias::yes : Bias::no,
                       .parametrization = config.parametrization,
                       .init = config.init};
  if (kind != LayerKind::linear) options.kernel = 4, options.stride = 2, options.padding = 1;
  return std::make_shared<Layer>(options, init);
}

class DcganEncoder final : public Encoder {
 public:
  DcganEncoder(const DcganEncoderConfig& config, const EncoderContext& context)
      : config_(config),
        input_shape_(context.input_shape),
        inner_(detail::halved(input_shape_, config.channels, "dcgan encoder")) {
    int64_t from = input_shape_[0];
    for (const int64_t to : config.channels) {
      const auto norm = convs_.empty() ? Norm::none : config.norm;
      convs_.push_back(layer(config, LayerKind::conv, from, to, norm, context.init));
      norms_.push_back(make_norm({.norm = norm, .channels = to, .groups = config.norm_groups}));
      from = to;
    }
    register_list(*this, "convs", convs_);
    register_list(*this, "norms", norms_);
  }

  Tensor forward(const Tensor& x) override {
    check_shape(x, joined({kAnyExtent}, input_shape_), "input of the dcgan encoder");
    Tensor h = x;
    for (size_t i = 0; i < convs_.size(); ++i) {
      h = torch::leaky_relu(norms_[i]->forward(convs_[i]->forward(h)), config_.negative_slope);
    }
    return h.flatten(1);
  }
  int64_t num_features() const override { return detail::volume(inner_); }
  std::string summary() const override {
    std::string words = detail::image_text(input_shape_);
    for (const int64_t channels : config_.channels) words += "-" + std::to_string(channels) + "c";
    return words;
  }

 private:
  DcganEncoderConfig config_;
  Shape input_shape_;
  Shape inner_;
  std::vector<std::shared_ptr<Layer>> convs_;
  std::vector<std::shared_ptr<NormLayer>> norms_;
};

class DcganDecoder final : public Decoder {
 public:
  DcganDecoder(const DcganDecoderConfig& config, const DecoderContext& context)
      : config_(config),
        latent_size_(context.latent_size),
        output_shape_(context.output_shape),
        inner_(detail::halved(output_shape_, config.channels, "dcgan decoder")) {
    const auto add_norm = [&](int64_t channels) {
      norms_.push_back(make_norm({.norm = config.norm, .channels = channels, .groups = config.norm_groups}));
    };
    layers_ = {layer(config, LayerKind::linear, latent_size_, detail::volume(inner_), config.norm, context.init)};
    add_norm(inner_[0]);
    for (size_t i = config.channels.size() - 1; i > 0; --i) {
      const auto to = config.channels[i - 1];
      convs_.push_back(layer(config, LayerKind::transposed_conv, config.channels[i], to, config.norm, context.init));
      add_norm(to);
    }
    register_list(*this, "layers", layers_);
    register_list(*this, "convs", convs_);
    register_list(*this, "norms", norms_);
    output_ = register_module(
        "output", layer(config, LayerKind::transposed_conv, config.channels.front(), output_shape_[0], Norm::none, context.init));
  }

  Tensor forward(const Tensor& z) override {
    check_shape(z, {kAnyExtent, latent_size_}, "input of the dcgan decoder");
    auto h = layers_.front()->forward(z).reshape(joined({z.size(0)}, inner_));
    h = activate(norms_.front()->forward(h), config_.activation);
    for (size_t i = 0; i < convs_.size(); ++i) {
      h = activate(norms_[i + 1]->forward(convs_[i]->forward(h)), config_.activation);
    }
    return output_->forward(h);
  }
  std::string summary() const override {
    std::string words = std::to_string(latent_size_) + "-" + detail::image_text(inner_);
    for (size_t i = config_.channels.size() - 1; i > 0; --i) words += "-" + std::to_string(config_.channels[i - 1]) + "c";
    return words + "-" + detail::image_text(output_shape_);
  }
  Tensor output_bias() override { return output_->bias(); }
  Tensor output_weight() override { return output_->trained_weight(); }

 private:
  DcganDecoderConfig config_;
  int64_t latent_size_;
  Shape output_shape_;
  Shape inner_;
  std::vector<std::shared_ptr<Layer>> layers_;
  std::vector<std::shared_ptr<Layer>> convs_;
  std::vector<std::shared_ptr<NormLayer>> norms_;
  std::shared_ptr<Layer> output_;
};

}  // namespace

std::shared_ptr<Encoder> make_dcgan_encoder(const DcganEncoderConfig& config, const EncoderContext& context) {
  return std::make_shared<DcganEncoder>(config, context);
}

std::shared_ptr<Decoder> make_dcgan_decoder(const DcganDecoderConfig& config, const DecoderContext& context) {
  return std::make_shared<DcganDecoder>(config, context);
}

}  // namespace elbo
