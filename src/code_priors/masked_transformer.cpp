#include "elbo/code_priors/masked_transformer.h"

#include <cmath>

#include "attention_blocks.h"
#include "code_tokens.h"
#include "cross_entropy.h"
#include "elbo/base/text.h"
#include "elbo/math/precision.h"

namespace elbo {
namespace {

/// The `counts` lowest of each row. Shapes: [B, T], [B, 1] -> bool [B, T].
Tensor lowest(const Tensor& scores, const Tensor& counts) { return scores.argsort(1, false).argsort(1, false) < counts; }

class MaskedTransformer final : public MaskedCodePrior {
 public:
  MaskedTransformer(const MaskedTransformerConfig& config, const CodePriorContext& context)
      : config_(config), grid_(context.grid) {
    const auto width = config.width;
    check_num_parameters(12.0 * static_cast<double>(config.layers) * static_cast<double>(width * width), "masked_transformer");
    tokens_ = register_module(
        "tokens", std::make_shared<detail::CodeTokens>(
                      detail::CodeTokensOptions{
                          .name = "masked_transformer", .width = width, .extra_codes = 1, .above_layers = config.above_layers},
                      context));
    stack_ = register_module("stack",
                             std::make_shared<detail::AttentionStack>(detail::AttentionOptions{.width = width,
                                                                                               .layers = config.layers,
                                                                                               .heads = config.heads,
                                                                                               .dropout = config.dropout,
                                                                                               .sees = detail::Sees::everything,
                                                                                               .init = config.init},
                                                                      context.init));
    outputs_ = detail::register_readouts(*this, grid_, width, detail::CodeReadout::Weight::own, config.init, context.init);
  }

  Tensor logits(const Tensor& codes, const Tensor& masked, const CodeCondition& condition, Step* step) override {
    auto& arithmetic = floating_arithmetic();
    const auto B = codes.size(0);
    const auto known = tokens_->of_codes(codes.masked_fill(masked, grid_.vocabulary));
    const auto h = known + tokens_->of_class(B, condition).unsqueeze(1) + tokens_->of_places(B, condition, arithmetic);
    const auto features = stack_->forward(detail::with_dropout(h, config_.dropout, step), arithmetic, step);
    return detail::read_out(outputs_, features, arithmetic);
  }

  CodeLoss loss(const Tensor& codes, const CodeCondition& condition, Step& step) override {
    const auto B = codes.size(0), T = tokens_->num_positions();
    const auto uniform = step.noise.uniform({1, B}, {T + 1})[0];
    const auto first = uniform.narrow(1, 0, 1).to(at::kDouble);
    const bool cosine = step.training && config_.mask_ratio == MaskRatio::cosine;
    const auto count = (cosine ? (first * (M_PI / 2)).cos().mul_(T).ceil_() : (first * T).floor_().add_(1)).clamp_(1, T);
    const auto masked = lowest(uniform.narrow(1, 1, T), count);
    const auto all = full_precision(logits(codes, masked.view_as(codes), condition, step.training ? &step : nullptr));
    const auto log_prob = detail::code_log_prob(all.flatten(0, 1), codes.flatten()).view({B, T});
    const auto weighed = [&](const Tensor& terms, const Tensor& weights) {
      return terms.masked_fill(masked.logical_not(), 0).sum(1) * weights.to(terms.scalar_type()).squeeze(1);
    };
    // Every count is as likely in the bound; the cosine draws count n with probability q(n).
    const auto q = cosine ? (((count - 1) / T).acos() - (count / T).acos()) / (M_PI / 2)
                          : at::full_like(count, 1.0 / static_cast<double>(T));
    const auto bound = weighed(log_prob.detach(), (count * q).reciprocal());
    auto value = log_prob;
    if (step.training && config_.label_smoothing > 0) {
      // (1 - s) log p(code) + s mean_v log p(v): the logarithm of the sum over codes is in both.
      const auto own = all.gather(2, codes.flatten(1).unsqueeze(2)).squeeze(2);
      value = log_prob + config_.label_smoothing * (all.mean(2) - own);
    }
    return {.value = -weighed(value, static_cast<double>(T) / count), .bound = bound};
  }

  Tensor inpaint(const Tensor& codes, const Tensor& masked, const CodeCondition& condition, const CodeSampling& sampling,
                 Noise& noise) override {
    const torch::NoGradGuard no_grad;
    check_shape(masked, codes.sizes(), "mask of the codes");
    const auto B = codes.size(0), T = tokens_->num_positions();
    auto drawn = codes.flatten(1);
    auto open = masked.flatten(1);
    const auto to_draw = open.sum(1, /*keepdim=*/true);
    for (int64_t t = 1;; ++t) {
      const auto all = full_precision(logits(drawn.view_as(codes), open.view_as(codes), condition, nullptr));
      drawn = at::where(open, draw_codes(all.flatten(0, 1), sampling, noise).view({B, T}), drawn);
      if (t == config_.steps) return drawn.view_as(codes);
      const double left = 1 - static_cast<double>(t) / static_cast<double>(config_.steps);
      auto confidence = at::log_softmax(all, 2).gather(2, drawn.unsqueeze(2)).squeeze(2);
      const auto u = noise.uniform({1, B}, {T})[0].clamp_min(1e-20);
      confidence = confidence - config_.choice_temperature * left * (-u.log()).log();  // -log(-log u): Gumbel noise
      // At least one code stays open and at least one is closed; a row that has none to draw keeps none open.
      const auto still_open = open.sum(1, /*keepdim=*/true);
      const auto planned = (to_draw.to(at::kDouble) * masked_share(t, config_.steps)).floor_().to(at::kLong);
      const auto count = at::minimum(at::minimum(planned, still_open - 1).clamp_min(1), still_open);
      open = lowest(confidence.masked_fill(open.logical_not(), INFINITY), count);
    }
  }

  Tensor sample(int64_t B, const CodeCondition& condition, const CodeSampling& sampling, Noise& noise) override {
    const auto options = at::TensorOptions(tokens_->table(0).device());
    const Shape shape = {B, grid_.height, grid_.width, grid_.groups};
    return inpaint(at::zeros(shape, options.dtype(at::kLong)), at::ones(shape, options.dtype(at::kBool)), condition, sampling,
                   noise);
  }

  const CodeGrid& grid() const override { return grid_; }
  std::string summary() const override {
    return text("masked_transformer ", config_.layers, " x ", config_.width, ", drawn in ", config_.steps, " passes");
  }

 private:
  MaskedTransformerConfig config_;
  CodeGrid grid_;
  std::shared_ptr<detail::CodeTokens> tokens_;
  std::shared_ptr<detail::AttentionStack> stack_;
  std::vector<std::shared_ptr<detail::CodeReadout>> outputs_;
};

}  // namespace

double masked_share(int64_t step, int64_t steps) {
  return std::cos(M_PI / 2 * static_cast<double>(step) / static_cast<double>(steps));
}

std::shared_ptr<MaskedCodePrior> make_masked_transformer(const MaskedTransformerConfig& config, const CodePriorContext& context) {
  return std::make_shared<MaskedTransformer>(config, context);
}

}  // namespace elbo
