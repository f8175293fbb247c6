#include <torch/types.h>

#include "elbo/optim/optimizer.h"

namespace elbo {
namespace {

/// Adam and AdamW differ in the fused update alone.
template <class Config>
class Adam final : public Optimizer {
 public:
  Adam(const Config& config, const OptimizerContext& context)
      : config_(config), learning_rate_("learning_rate", config.learning_rate, context.segments.at(0).parameters.device()) {
    for (const auto& segment : context.segments) {
      parameters_.push_back(segment.parameters);
      gradients_.push_back(segment.gradients);
      means_.push_back(torch::zeros_like(segment.parameters));
      squares_.push_back(torch::zeros_like(segment.parameters));
      steps_.push_back(torch::zeros({}, segment.parameters.options().dtype(torch::kFloat)));
    }
  }

  void step(const Tensor& found_inf) override {
    constexpr bool kAmsgrad = false;
    constexpr bool kMaximize = false;
    at::_foreach_add_(steps_, 1);
    if constexpr (std::is_same_v<Config, AdamWConfig>) {
      at::_fused_adamw_(parameters_, gradients_, means_, squares_, {}, steps_, learning_rate_.tensor(), config_.beta1,
                        config_.beta2, config_.weight_decay, config_.epsilon, kAmsgrad, kMaximize, std::nullopt, found_inf);
    } else {
      at::_fused_adam_(parameters_, gradients_, means_, squares_, {}, steps_, learning_rate_.tensor(), config_.beta1,
                       config_.beta2, config_.weight_decay, config_.epsilon, kAmsgrad, kMaximize, std::nullopt, found_inf);
    }
    for (auto& count : steps_) count.sub_(found_inf);  // a skipped step isn't counted
  }

  std::vector<OptimizerState> state() override { return {{"exp_avg", means_}, {"exp_avg_sq", squares_}, {"step", steps_}}; }
  std::vector<Scheduled> scheduled() override { return {learning_rate_}; }

 private:
  Config config_;
  Scheduled learning_rate_;
  std::vector<Tensor> parameters_, gradients_, means_, squares_, steps_;
};

}  // namespace

std::shared_ptr<Optimizer> make_adam(const AdamConfig& config, const OptimizerContext& context) {
  return std::make_shared<Adam<AdamConfig>>(config, context);
}

std::shared_ptr<Optimizer> make_adamw(const AdamWConfig& config, const OptimizerContext& context) {
  return std::make_shared<Adam<AdamWConfig>>(config, context);
}

}  // namespace elbo
