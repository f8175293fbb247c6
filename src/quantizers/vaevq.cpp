#include "elbo/quantizers/vaevq.h"

#include <torch/nn/modules/linear.h>

#include <cmath>

#include "elbo/math/init.h"
#include "elbo/math/precision.h"
#include "elbo/ops/normal.h"
#include "elbo/quantizers/codebook.h"
#include "elbo/quantizers/tokens.h"

namespace elbo {
namespace {

constexpr double kMinLogVar = -30, kMaxLogVar = 20;

class Vaevq final : public Quantizer {
 public:
  Vaevq(const VaevqConfig& config, const QuantizerContext& context)
      : size_(config.code_size),
        rcs_weight_("rcs_weight", config.rcs_weight, context.device),
        kl_weight_("kl_weight", config.kl_weight, context.device),
        dcr_weight_("dcr_weight", config.dcr_weight, context.device) {
    const auto size = static_cast<double>(size_);
    check_num_parameters(static_cast<double>(config.codes) * size + size * (size + 1), "quantizer 'vaevq'");
    codes_ = register_parameter("codes", context.init.normal({config.codes}, {size_}) / std::sqrt(size));
    projection_ = register_module("projection", torch::nn::Linear(size_, size_));
    init_module(*projection_, Init::pytorch, context.init);
  }

  Quantization forward(const Tensor& z, Step& step, const Tensor& mask) override {
    check_tokens(z, mask, 2 * size_, "vaevq");
    const FullPrecisionScope precise(z.device());
    const auto tokens = z.sizes().slice(0, z.dim() - 1);
    const auto counted = fill_left_out(full_precision(z), mask, 0);
    const auto mean = counted.narrow(-1, 0, size_);
    const auto log_var = counted.narrow(-1, size_, size_).clamp(kMinLogVar, kMaxLogVar);
    const auto scale = (0.5 * log_var).exp();
    const auto codes = projection_->forward(codes_);
    const auto indices = nearest_indices(CodeMetric::euclidean, mean, codes, mask);
    const auto code = look_up(codes, indices);
    const auto distance = (code - mean) / scale;  // the posterior's noise that would have drawn the code
    // Each bracket is zero: the value is the code's bits.
    const auto value = code + ((mean - mean.detach()) + distance.detach() * (scale - scale.detach()));

    Quantization out{.value = fill_left_out(value, mask, 0), .indices = indices, .target = mean.detach()};
    if (step.training) {
      const auto noise = step.noise.normal({1, tokens[0]}, joined(tokens.slice(1), {size_})).squeeze(0);
      out.continuous = fill_left_out(mean + scale * noise.to(mean.scalar_type()), mask, 0);
    }
    const auto num_tokens = elements_of(z) / static_cast<double>(2 * size_);
    out.terms = {
        {.name = "rcs",
         .value = sum_tokens(0.5 * distance.square().sum(-1), mask),
         .weight = rcs_weight_.tensor(),
         .elements = num_tokens * static_cast<double>(size_)},
        // elements: the authors add the KL's sum and the codebook's distance to their means as they stand
        {.name = "kl", .value = sum_tokens(kl(mean, log_var), mask), .weight = kl_weight_.tensor()},
        {.name = "dcr", .value = distance_from_standard_normal(codes).expand({tokens[0]}), .weight = dcr_weight_.tensor()}};
    const auto log_vars = counted_rows(log_var.detach(), mask);
    out.readings = {{"mean_scale", (0.5 * log_vars.mean()).exp()}};
    return out;
  }

  Tensor encode(const Tensor& z) override {
    check_tokens(z, {}, 2 * size_, "vaevq");
    const FullPrecisionScope precise(z.device());
    return nearest_indices(CodeMetric::euclidean, full_precision(z).narrow(-1, 0, size_), projection_->forward(codes_));
  }
  Tensor decode(const Tensor& indices) override { return look_up(codebook(0), indices); }
  CodeSpace code_space() const override { return {.input_size = 2 * size_, .output_size = size_, .sizes = {codes_.size(0)}}; }
  Tensor codebook(int64_t /*group*/) override {
    const FullPrecisionScope precise(codes_.device());
    return projection_->forward(codes_);
  }
  std::vector<Scheduled> scheduled() override { return {rcs_weight_, kl_weight_, dcr_weight_}; }

 private:
  static Tensor kl(const Tensor& mean, const Tensor& log_var) {
    return normal_kl_to_standard(mean.contiguous(), log_var.contiguous(), 1);
  }

  int64_t size_;
  Scheduled rcs_weight_;
  Scheduled kl_weight_;
  Scheduled dcr_weight_;
  Tensor codes_;
  torch::nn::Linear projection_{nullptr};
};

}  // namespace

std::shared_ptr<Quantizer> make_vaevq(const VaevqConfig& config, const QuantizerContext& context) {
  return std::make_shared<Vaevq>(config, context);
}

Tensor distance_from_standard_normal(const Tensor& codes) {
  const auto mean = codes.mean(0);
  const auto centred = codes - mean;
  const auto covariance = torch::mm(centred.t(), centred) / static_cast<double>(codes.size(0) - 1);
  // Of the eigenvalues alone, whose gradient is finite where two of them meet.
  const auto eigenvalues = torch::linalg_eigvalsh(covariance).clamp_min(1e-6);
  return mean.square().sum() + covariance.diagonal().sum() - 2 * eigenvalues.sqrt().sum() + static_cast<double>(codes.size(1));
}

}  // namespace elbo
