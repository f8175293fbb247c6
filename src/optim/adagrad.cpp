#include <torch/types.h>

#include "elbo/optim/optimizer.h"

namespace elbo {
namespace {

class Adagrad final : public Optimizer {
 public:
  Adagrad(const AdagradConfig& config, const OptimizerContext& context)
      : config_(config), learning_rate_("learning_rate", config.learning_rate, context.segments.at(0).parameters.device()) {
    for (const auto& segment : context.segments) {
      parameters_.push_back(segment.parameters);
      gradients_.push_back(segment.gradients);
      sums_.push_back(torch::full_like(segment.parameters, config.initial_accumulator));
      steps_.push_back(torch::zeros({}, segment.parameters.options().dtype(torch::kFloat)));
    }
  }

  void step(const Tensor& found_inf) override {
    constexpr bool kMaximize = false;
    at::_foreach_add_(steps_, 1);
    at::_fused_adagrad_(parameters_, gradients_, sums_, steps_, learning_rate_.tensor(), config_.learning_rate_decay,
                        config_.weight_decay, config_.epsilon, kMaximize, std::nullopt, found_inf);
    for (auto& count : steps_) count.sub_(found_inf);  // a skipped step isn't counted
  }

  std::vector<OptimizerState> state() override { return {{"sum", sums_}, {"step", steps_}}; }
  std::vector<Scheduled> scheduled() override { return {learning_rate_}; }

 private:
  AdagradConfig config_;
  Scheduled learning_rate_;
  std::vector<Tensor> parameters_, gradients_, sums_, steps_;
};

}  // namespace

std::shared_ptr<Optimizer> make_adagrad(const AdagradConfig& config, const OptimizerContext& context) {
  return std::make_shared<Adagrad>(config, context);
}

}  // namespace elbo
