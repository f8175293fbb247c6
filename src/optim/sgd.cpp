#include <torch/types.h>

#include "elbo/optim/optimizer.h"

namespace elbo {
namespace {

class Sgd final : public Optimizer {
 public:
  Sgd(const SgdConfig& config, const OptimizerContext& context)
      : config_(config), learning_rate_("learning_rate", config.learning_rate, context.segments.at(0).parameters.device()) {
    for (const auto& segment : context.segments) {
      parameters_.push_back(segment.parameters);
      gradients_.push_back(segment.gradients);
      if (config.momentum > 0) momentum_.push_back(torch::zeros_like(segment.parameters));
    }
  }

  void step(const Tensor& found_inf) override {
    constexpr double kDampening = 0;
    constexpr bool kMaximize = false;
    constexpr bool kFirstStep = false;  // momentum starts at zero, which without dampening is the same as a first step
    at::_fused_sgd_(parameters_, gradients_, momentum_, config_.weight_decay, config_.momentum, learning_rate_.tensor(),
                    kDampening, config_.nesterov, kMaximize, kFirstStep, std::nullopt, found_inf);
  }

  std::vector<OptimizerState> state() override {
    if (momentum_.empty()) return {};
    return {{"momentum", momentum_}};
  }
  std::vector<Scheduled> scheduled() override { return {learning_rate_}; }

 private:
  SgdConfig config_;
  Scheduled learning_rate_;
  std::vector<Tensor> parameters_, gradients_, momentum_;
};

}  // namespace

std::shared_ptr<Optimizer> make_sgd(const SgdConfig& config, const OptimizerContext& context) {
  return std::make_shared<Sgd>(config, context);
}

}  // namespace elbo
