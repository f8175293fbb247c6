#include <torch/types.h>

#include "elbo/optim/guard.h"
#include "elbo/optim/optimizer.h"

namespace elbo {
namespace {

class RmsProp final : public Optimizer {
 public:
  RmsProp(const RmsPropConfig& config, const OptimizerContext& context)
      : config_(config), learning_rate_("learning_rate", config.learning_rate, context.segments.at(0).parameters.device()) {
    for (const auto& segment : context.segments) {
      parameters_.push_back(segment.parameters);
      gradients_.push_back(segment.gradients);
      squares_.push_back(torch::zeros_like(segment.parameters));
      if (config.centered) means_.push_back(torch::zeros_like(segment.parameters));
      if (config.momentum > 0) momentum_.push_back(torch::zeros_like(segment.parameters));
    }
  }

  void step(const Tensor& found_inf) override {
    for (size_t i = 0; i < parameters_.size(); ++i) {
      std::vector<Tensor> changed = {parameters_[i], squares_[i]};
      if (config_.centered) changed.push_back(means_[i]);
      if (config_.momentum > 0) changed.push_back(momentum_[i]);
      guarded_update(found_inf, changed, [&] { update(i); });
    }
  }

  std::vector<OptimizerState> state() override {
    std::vector<OptimizerState> all = {{"square_avg", squares_}};
    if (config_.centered) all.push_back({"grad_avg", means_});
    if (config_.momentum > 0) all.push_back({"momentum_buffer", momentum_});
    return all;
  }
  std::vector<Scheduled> scheduled() override { return {learning_rate_}; }

 private:
  void update(size_t i) {
    const auto gradient = config_.weight_decay > 0 ? gradients_[i].add(parameters_[i], config_.weight_decay) : gradients_[i];
    squares_[i].mul_(config_.alpha).addcmul_(gradient, gradient, 1 - config_.alpha);
    auto moment = squares_[i];
    if (config_.centered) {
      means_[i].lerp_(gradient, 1 - config_.alpha);
      moment = squares_[i].addcmul(means_[i], means_[i], -1);
    }
    auto change = gradient / moment.sqrt().add_(config_.epsilon);
    if (config_.momentum > 0) change = momentum_[i].mul_(config_.momentum).add_(change);
    parameters_[i].sub_(change * learning_rate_.tensor());
  }

  RmsPropConfig config_;
  Scheduled learning_rate_;
  std::vector<Tensor> parameters_, gradients_, squares_, means_, momentum_;
};

}  // namespace

std::shared_ptr<Optimizer> make_rmsprop(const RmsPropConfig& config, const OptimizerContext& context) {
  return std::make_shared<RmsProp>(config, context);
}

}  // namespace elbo
