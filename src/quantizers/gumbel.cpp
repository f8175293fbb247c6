#include "elbo/quantizers/gumbel.h"

#include <torch/nn/modules/linear.h>

#include <cmath>

#include "elbo/math/init.h"
#include "elbo/math/precision.h"
#include "elbo/quantizers/codebook.h"
#include "elbo/quantizers/tokens.h"

namespace elbo {
namespace {

class Gumbel final : public Quantizer {
 public:
  Gumbel(const GumbelConfig& config, const QuantizerContext& context)
      : num_codes_(config.codes),
        input_size_(config.input_size > 0 ? config.input_size : config.code_size),
        sample_(config.sample),
        temperature_("temperature", config.temperature, context.device),
        kl_weight_("kl_weight", config.kl_weight, context.device) {
    check_num_parameters(static_cast<double>(num_codes_) * static_cast<double>(input_size_ + config.code_size + 1),
                         "quantizer 'gumbel'");
    projection_ = register_module("projection", torch::nn::Linear(input_size_, num_codes_));
    init_module(*projection_, Init::pytorch, context.init);
    codes_ = register_parameter("codes", context.init.normal({num_codes_}, {config.code_size}));
  }

  Quantization forward(const Tensor& z, Step& step, const Tensor& mask) override {
    check_tokens(z, mask, input_size_, "gumbel");
    const FullPrecisionScope precise(z.device());
    const auto tokens = z.sizes().slice(0, z.dim() - 1);
    const auto logits = logits_of(fill_left_out(z, mask, 0));  // [N, V]
    const auto drawn = step.training ? draw(logits, tokens, step) : Drawn{.index = logits.argmax(1)};
    const auto indices = fill_left_out(drawn.index.reshape(joined(tokens, {1})), mask, -1);
    const auto value = step.training ? drawn.value.reshape(joined(tokens, {codes_.size(1)})) : decode(indices);
    Quantization out{.value = fill_left_out(value, mask, 0),
                     .indices = indices,
                     .log_probs = logits.log_softmax(1).reshape(joined(tokens, {1, num_codes_})),
                     .readings = {{"temperature", temperature_.tensor()}}};
    out.terms = {{.name = "kl",
                  .value = sum_tokens(kl_to_uniform(logits).reshape(tokens), mask),
                  .weight = kl_weight_.tensor(),
                  .elements = elements_of(z) / static_cast<double>(input_size_)}};
    return out;
  }

  Tensor encode(const Tensor& z) override {
    check_tokens(z, {}, input_size_, "gumbel");
    const FullPrecisionScope precise(z.device());
    return logits_of(z).argmax(1).reshape(joined(z.sizes().slice(0, z.dim() - 1), {1}));
  }
  Tensor decode(const Tensor& indices) override { return look_up(codes_, indices); }
  CodeSpace code_space() const override {
    return {.input_size = input_size_, .output_size = codes_.size(1), .sizes = {num_codes_}};
  }
  Tensor codebook(int64_t /*group*/) override { return codes_; }
  std::vector<Scheduled> scheduled() override { return {temperature_, kl_weight_}; }

 private:
  struct Drawn {
    Tensor value = {};
    Tensor index = {};
  };

  Tensor logits_of(const Tensor& z) { return projection_->forward(to_rows(z)); }

  Drawn draw(const Tensor& logits, at::IntArrayRef tokens, Step& step) {
    const auto uniform = step.noise.uniform({1, tokens[0]}, joined(tokens.slice(1), {num_codes_}));
    const auto perturbed = add_gumbel(logits, uniform.reshape_as(logits));
    auto assignment = (perturbed / temperature_.tensor()).softmax(1);
    const auto index = perturbed.detach().argmax(1);
    if (sample_ == GumbelSample::hard) {
      const auto one_hot = torch::zeros_like(assignment).scatter_(1, index.unsqueeze(1), 1);
      assignment = one_hot + (assignment - assignment.detach());  // in this order the value is exactly one-hot
    }
    return {.value = torch::mm(assignment, codes_), .index = index};
  }

  int64_t num_codes_;
  int64_t input_size_;
  GumbelSample sample_;
  Scheduled temperature_;
  Scheduled kl_weight_;
  torch::nn::Linear projection_{nullptr};
  Tensor codes_;
};

}  // namespace

std::shared_ptr<Quantizer> make_gumbel(const GumbelConfig& config, const QuantizerContext& context) {
  return std::make_shared<Gumbel>(config, context);
}

Tensor add_gumbel(const Tensor& logits, const Tensor& uniform) {
  constexpr double kSmallest = 1.0 / (1 << 25), kLargest = 1 - 1.0 / (1 << 24);  // both are float32 numbers
  return logits - uniform.to(logits.scalar_type()).clamp(kSmallest, kLargest).log().neg().log();
}

Tensor kl_to_uniform(const Tensor& logits) {
  const auto log_q = logits.log_softmax(-1);
  return (log_q.exp() * log_q).sum(-1) + std::log(static_cast<double>(logits.size(-1)));
}

}  // namespace elbo
