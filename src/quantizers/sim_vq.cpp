#include "elbo/quantizers/sim_vq.h"

#include <cmath>

#include "elbo/math/precision.h"
#include "elbo/nn/layer.h"

namespace elbo {
namespace {

class SimVq final : public Quantizer {
 public:
  SimVq(const SimVqConfig& config, const QuantizerContext& context)
      : config_(config),
        commitment_("commitment", config.commitment, context.device),
        codebook_weight_("codebook_weight", config.codebook_weight, context.device) {
    check_codebook(config.codes, config.code_size, "sim_vq");
    const auto D = config.code_size;
    const auto vectors = initial_codes(CodebookInit::normal, config.codes, D, context.init) / std::sqrt(static_cast<double>(D));
    vectors_ = config.train_vectors ? register_parameter("vectors", vectors) : register_buffer("vectors", vectors);
    const LayerOptions options{.in = D, .out = D, .bias = config.bias ? Bias::yes : Bias::no};
    projection_ = register_module("projection", std::make_shared<Layer>(options, context.init));
  }

  Quantization forward(const Tensor& z, Step&, const Tensor& mask) override {
    check_tokens(z, mask, config_.code_size, "sim_vq");
    const auto codes = codebook(0);
    return quantized_by(
        z, codes, nearest_indices(config_.metric, z, codes, mask), mask,
        {.codebook = codebook_weight_.tensor(), .commitment = commitment_.tensor(), .gradient = config_.gradient});
  }

  Tensor encode(const Tensor& z) override {
    check_tokens(z, {}, config_.code_size, "sim_vq");
    return nearest_indices(config_.metric, z, codebook(0));
  }
  Tensor decode(const Tensor& indices) override { return look_up(codebook(0), indices); }
  CodeSpace code_space() const override { return {config_.code_size, config_.code_size, {config_.codes}}; }
  Tensor codebook(int64_t) override {
    const FullPrecisionScope precise(vectors_.device());
    return projection_->forward(vectors_);
  }
  std::vector<Scheduled> scheduled() override { return {commitment_, codebook_weight_}; }

 private:
  SimVqConfig config_;
  Scheduled commitment_, codebook_weight_;
  Tensor vectors_;
  std::shared_ptr<Layer> projection_;
};

}  // namespace

std::shared_ptr<Quantizer> make_sim_vq(const SimVqConfig& config, const QuantizerContext& context) {
  return std::make_shared<SimVq>(config, context);
}

}  // namespace elbo
