#include "elbo/code_priors/transformer.h"

#include "attention_blocks.h"
#include "code_tokens.h"
#include "elbo/base/error.h"
#include "elbo/base/text.h"

namespace elbo {
namespace {

using detail::CodeReadout;

class TransformerPrior final : public AutoregressiveCodePrior {
 public:
  TransformerPrior(const TransformerPriorConfig& config, const CodePriorContext& context) : config_(config), grid_(context.grid) {
    const auto width = config.width;
    check_num_parameters(12.0 * static_cast<double>(config.layers) * static_cast<double>(width * width), "transformer");
    tokens_ = register_module(
        "tokens",
        std::make_shared<detail::CodeTokens>(
            detail::CodeTokensOptions{.name = "transformer", .width = width, .above_layers = config.above_layers}, context));
    stack_ = register_module("stack", std::make_shared<detail::AttentionStack>(detail::AttentionOptions{.width = width,
                                                                                                        .layers = config.layers,
                                                                                                        .heads = config.heads,
                                                                                                        .dropout = config.dropout,
                                                                                                        .window = config.window,
                                                                                                        .init = config.init},
                                                                               context.init));
    const auto weight = config.tied ? CodeReadout::Weight::told : CodeReadout::Weight::own;
    outputs_ = detail::register_readouts(*this, grid_, width, weight, config.init, context.init);
  }

  Tensor logits(const Tensor& codes, const CodeCondition& condition, Arithmetic& arithmetic, Step* step) override {
    const auto B = codes.size(0);
    const auto earlier = tokens_->of_codes(codes).narrow(1, 0, tokens_->num_positions() - 1);
    const auto known = at::cat({tokens_->of_class(B, condition).unsqueeze(1), earlier}, 1);
    const auto h = detail::with_dropout(known + tokens_->of_places(B, condition, arithmetic), config_.dropout, step);
    const auto features = stack_->forward(h, arithmetic, step);
    return detail::read_out(outputs_, features, arithmetic, config_.tied ? tokens_.get() : nullptr);
  }

  std::unique_ptr<CodeDecoding> start(int64_t B, const CodeCondition& condition, Arithmetic& arithmetic) override;

  const CodeGrid& grid() const override { return grid_; }
  std::string summary() const override { return text("transformer ", config_.layers, " x ", config_.width); }

  // For the decoding position by position.
  detail::CodeTokens& tokens() { return *tokens_; }
  detail::AttentionStack& stack() { return *stack_; }
  Tensor output(int64_t g, const Tensor& features, Arithmetic& arithmetic) const {
    return outputs_[static_cast<size_t>(g)]->forward(features, arithmetic, config_.tied ? tokens_->table(g) : Tensor());
  }

 private:
  TransformerPriorConfig config_;
  CodeGrid grid_;
  std::shared_ptr<detail::CodeTokens> tokens_;
  std::shared_ptr<detail::AttentionStack> stack_;
  std::vector<std::shared_ptr<CodeReadout>> outputs_;
};

class TransformerDecoding final : public CodeDecoding {
 public:
  TransformerDecoding(TransformerPrior& prior, int64_t B, const CodeCondition& condition, Arithmetic& arithmetic)
      : prior_(prior),
        arithmetic_(arithmetic),
        first_(prior.tokens().of_class(B, condition)),
        places_(prior.tokens().of_places(B, condition, arithmetic)) {}

  Tensor next(const Tensor& previous) override {
    const torch::NoGradGuard no_grad;
    const auto& tokens = prior_.tokens();
    const auto t = position_, T = tokens.num_positions();
    if (t == T) throw UsageError("transformer: asked for a position after the last; start a new pass");
    if (t > 0) check_shape(previous, {first_.size(0)}, "codes of the position before");
    const auto known = t == 0 ? first_ : tokens.of_position(t - 1, previous);
    const auto h = (known + places_.select(1, t)).unsqueeze(1);
    const auto features = prior_.stack().next(h, t, T, cache_, arithmetic_);
    ++position_;
    return prior_.output(t % prior_.grid().groups, features.squeeze(1), arithmetic_);
  }

 private:
  TransformerPrior& prior_;
  Arithmetic& arithmetic_;
  Tensor first_, places_;
  std::vector<detail::AttentionCache> cache_ = {};
  int64_t position_ = 0;
};

std::unique_ptr<CodeDecoding> TransformerPrior::start(int64_t B, const CodeCondition& condition, Arithmetic& arithmetic) {
  const torch::NoGradGuard no_grad;
  return std::make_unique<TransformerDecoding>(*this, B, condition, arithmetic);
}

}  // namespace

std::shared_ptr<AutoregressiveCodePrior> make_transformer_prior(const TransformerPriorConfig& config,
                                                                const CodePriorContext& context) {
  return std::make_shared<TransformerPrior>(config, context);
}

}  // namespace elbo
