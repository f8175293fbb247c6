#include "elbo/nn/mlp.h"

#include "elbo/base/array.h"
#include "elbo/base/error.h"

namespace elbo {
namespace {

double num_parameters(const std::vector<int64_t>& sizes) {
  double total = 0;
  for (size_t i = 1; i < sizes.size(); ++i) total += (static_cast<double>(sizes[i - 1]) + 1) * static_cast<double>(sizes[i]);
  return total;
}

using LayerList = std::vector<std::shared_ptr<Layer>>;

std::shared_ptr<Layer> linear(const MlpConfig& config, int64_t from, int64_t to, Stream& init) {
  return std::make_shared<Layer>(
      LayerOptions{.in = from, .out = to, .parametrization = config.parametrization, .init = weight_init(config.init)}, init);
}

/// sizes[0] -> sizes[1] -> …, registered under the module as `layers`.
LayerList register_layers(torch::nn::Module& module, const MlpConfig& config, const std::vector<int64_t>& sizes, Stream& init) {
  LayerList layers;
  for (size_t i = 1; i < sizes.size(); ++i) layers.push_back(linear(config, sizes[i - 1], sizes[i], init));
  register_list(module, "layers", layers);
  return layers;
}

Tensor through(const LayerList& layers, Tensor h, Activation activation) {
  for (const auto& layer : layers) h = layer->forward(h, activation);
  return h;
}

std::string chain(const std::vector<int64_t>& sizes) {
  std::string words;
  for (const int64_t size : sizes) words += (words.empty() ? "" : "-") + std::to_string(size);
  return words;
}

std::vector<int64_t> with_first(int64_t first, const std::vector<int64_t>& rest) {
  std::vector<int64_t> sizes = {first};
  sizes.insert(sizes.end(), rest.begin(), rest.end());
  return sizes;
}

class MlpEncoder final : public Encoder {
 public:
  MlpEncoder(const MlpConfig& config, const EncoderContext& context)
      : input_shape_(context.input_shape),
        sizes_(with_first(num_elements(input_shape_), config.hidden)),
        activation_(config.activation) {
    check_num_parameters(num_parameters(sizes_), "mlp encoder");
    layers_ = register_layers(*this, config, sizes_, context.init);
  }

  Tensor forward(const Tensor& x) override {
    check_shape(x, joined({kAnyExtent}, input_shape_), "input of the mlp encoder");
    return through(layers_, x.reshape({x.size(0), sizes_.front()}), activation_);
  }
  int64_t num_features() const override { return sizes_.back(); }
  std::string summary() const override { return chain(sizes_); }

 private:
  Shape input_shape_;
  std::vector<int64_t> sizes_;
  Activation activation_;
  LayerList layers_;
};

class MlpDecoder final : public Decoder {
 public:
  MlpDecoder(const MlpConfig& config, const DecoderContext& context)
      : output_shape_(context.output_shape),
        sizes_(with_first(context.latent_size, config.hidden)),
        activation_(config.activation) {
    auto all = sizes_;
    all.push_back(num_elements(output_shape_));
    check_num_parameters(num_parameters(all), "mlp decoder");
    layers_ = register_layers(*this, config, sizes_, context.init);
    output_ = register_module("output", linear(config, sizes_.back(), num_elements(output_shape_), context.init));
  }

  Tensor forward(const Tensor& z) override {
    check_shape(z, {kAnyExtent, sizes_.front()}, "input of the mlp decoder");
    return output_->forward(through(layers_, z, activation_)).reshape(joined({z.size(0)}, output_shape_));
  }
  std::string summary() const override { return chain(sizes_) + "-" + std::to_string(num_elements(output_shape_)); }
  Tensor output_bias() override { return output_->bias(); }
  Tensor output_weight() override { return output_->trained_weight(); }

 private:
  Shape output_shape_;
  std::vector<int64_t> sizes_;
  Activation activation_;
  LayerList layers_;
  std::shared_ptr<Layer> output_;
};

}  // namespace

std::shared_ptr<Encoder> make_mlp_encoder(const MlpConfig& config, const EncoderContext& context) {
  return std::make_shared<MlpEncoder>(config, context);
}

std::shared_ptr<Decoder> make_mlp_decoder(const MlpConfig& config, const DecoderContext& context) {
  return std::make_shared<MlpDecoder>(config, context);
}

}  // namespace elbo
