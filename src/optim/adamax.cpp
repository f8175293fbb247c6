#include <torch/types.h>

#include "elbo/optim/guard.h"
#include "elbo/optim/optimizer.h"

namespace elbo {
namespace {

class Adamax final : public Optimizer {
 public:
  Adamax(const AdamaxConfig& config, const OptimizerContext& context)
      : config_(config), learning_rate_("learning_rate", config.learning_rate, context.segments.at(0).parameters.device()) {
    for (const auto& segment : context.segments) {
      parameters_.push_back(segment.parameters);
      gradients_.push_back(segment.gradients);
      means_.push_back(torch::zeros_like(segment.parameters));
      largest_.push_back(torch::zeros_like(segment.parameters));
      steps_.push_back(torch::zeros({}, segment.parameters.options().dtype(torch::kFloat)));
    }
  }

  void step(const Tensor& found_inf) override {
    for (size_t i = 0; i < parameters_.size(); ++i) {
      guarded_update(found_inf, {parameters_[i], means_[i], largest_[i], steps_[i]}, [&] { update(i); });
    }
  }

  std::vector<OptimizerState> state() override { return {{"exp_avg", means_}, {"exp_inf", largest_}, {"step", steps_}}; }
  std::vector<Scheduled> scheduled() override { return {learning_rate_}; }

 private:
  void update(size_t i) {
    const auto gradient = config_.weight_decay > 0 ? gradients_[i].add(parameters_[i], config_.weight_decay) : gradients_[i];
    steps_[i].add_(1);
    means_[i].lerp_(gradient, 1 - config_.beta1);
    torch::maximum_out(largest_[i], largest_[i].mul_(config_.beta2), gradient.abs().add_(config_.epsilon));
    // In float64: beta1^step near 1 would lose half of float32's digits in the difference.
    const auto correction = 1 - torch::pow(config_.beta1, steps_[i].to(torch::kDouble));
    const auto rate = (learning_rate_.tensor().to(torch::kDouble) / correction).to(parameters_[i].scalar_type());
    parameters_[i].sub_(means_[i] / largest_[i] * rate);
  }

  AdamaxConfig config_;
  Scheduled learning_rate_;
  std::vector<Tensor> parameters_, gradients_, means_, largest_, steps_;
};

}  // namespace

std::shared_ptr<Optimizer> make_adamax(const AdamaxConfig& config, const OptimizerContext& context) {
  return std::make_shared<Adamax>(config, context);
}

}  // namespace elbo
