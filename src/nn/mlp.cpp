#include "elbo/nn/mlp.h"

#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/linear.h>

#include "elbo/base/array.h"
#include "elbo/base/error.h"

namespace elbo {
namespace {

double num_parameters(const std::vector<int64_t>& sizes) {
  double total = 0;
  for (size_t i = 1; i < sizes.size(); ++i) total += (static_cast<double>(sizes[i - 1]) + 1) * static_cast<double>(sizes[i]);
  return total;
}

/// Registers `layers` under the module and returns it: sizes[0] -> sizes[1] -> …
torch::nn::ModuleList register_layers(torch::nn::Module& module, const std::vector<int64_t>& sizes) {
  torch::nn::ModuleList layers;
  for (size_t i = 1; i < sizes.size(); ++i) layers->push_back(torch::nn::Linear(sizes[i - 1], sizes[i]));
  module.register_module("layers", layers);
  return layers;
}

Tensor through(torch::nn::ModuleList& layers, Tensor h, Activation activation) {
  for (const auto& layer : *layers) h = activate(layer->as<torch::nn::Linear>()->forward(h), activation);
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
    const DefaultGeneratorGuard guard;
    layers_ = register_layers(*this, sizes_);
    init_module(*this, config.init, context.init);
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
  torch::nn::ModuleList layers_ = nullptr;
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
    const DefaultGeneratorGuard guard;
    layers_ = register_layers(*this, sizes_);
    output_ = register_module("output", torch::nn::Linear(sizes_.back(), num_elements(output_shape_)));
    init_module(*this, config.init, context.init);
  }

  Tensor forward(const Tensor& z) override {
    check_shape(z, {kAnyExtent, sizes_.front()}, "input of the mlp decoder");
    return output_->forward(through(layers_, z, activation_)).reshape(joined({z.size(0)}, output_shape_));
  }
  std::string summary() const override { return chain(sizes_) + "-" + std::to_string(num_elements(output_shape_)); }
  Tensor output_bias() override { return output_->bias; }

 private:
  Shape output_shape_;
  std::vector<int64_t> sizes_;
  Activation activation_;
  torch::nn::ModuleList layers_ = nullptr;
  torch::nn::Linear output_ = nullptr;
};

}  // namespace

std::shared_ptr<Encoder> make_mlp_encoder(const MlpConfig& config, const EncoderContext& context) {
  return std::make_shared<MlpEncoder>(config, context);
}

std::shared_ptr<Decoder> make_mlp_decoder(const MlpConfig& config, const DecoderContext& context) {
  return std::make_shared<MlpDecoder>(config, context);
}

}  // namespace elbo
