#include "elbo/quantizers/vq.h"

#include "elbo/quantizers/kmeans.h"
#include "elbo/quantizers/tokens.h"

namespace elbo {
namespace {

class Vq final : public Quantizer {
 public:
  Vq(const VqConfig& config, const QuantizerContext& context)
      : config_(config),
        commitment_("commitment", config.commitment, context.device),
        codebook_weight_("codebook_weight", config.codebook_weight, context.device) {
    check_codebook(config.codes, config.code_size, "vq");
    codes_ = register_parameter("codes", initial_codes(config.init, config.codes, config.code_size, context.init));
  }

  Quantization forward(const Tensor& z, Step&, const Tensor& mask) override {
    check_tokens(z, mask, config_.code_size, "vq");
    return quantized_by(
        z, codes_, nearest_indices(config_.metric, z, codes_, mask), mask,
        {.codebook = codebook_weight_.tensor(), .commitment = commitment_.tensor(), .gradient = config_.gradient});
  }

  Tensor encode(const Tensor& z) override {
    check_tokens(z, {}, config_.code_size, "vq");
    return nearest_indices(config_.metric, z, codes_);
  }
  Tensor decode(const Tensor& indices) override { return look_up(codes_, indices); }
  CodeSpace code_space() const override { return {config_.code_size, config_.code_size, {config_.codes}}; }
  Tensor codebook(int64_t) override { return codes_; }
  std::vector<Scheduled> scheduled() override { return {commitment_, codebook_weight_}; }

  void initialise(const Tensor& z, Step& step) override {
    if (config_.init != CodebookInit::kmeans) return;
    codes_.data().copy_(kmeans(to_rows(z), config_.codes, config_.kmeans_iterations, step.streams.model).centres);
  }

 private:
  VqConfig config_;
  Scheduled commitment_, codebook_weight_;
  Tensor codes_;
};

}  // namespace

std::shared_ptr<Quantizer> make_vq(const VqConfig& config, const QuantizerContext& context) {
  return std::make_shared<Vq>(config, context);
}

}  // namespace elbo
