#include "elbo/training/evaluation_mode.h"

#include <ATen/core/grad_mode.h>

namespace elbo {

struct EvaluationMode::Saved {
  torch::NoGradGuard no_grad = {};
  std::vector<std::pair<torch::nn::Module*, bool>> modes = {};  // parents before children
  std::vector<std::shared_ptr<torch::nn::Module>> alive = {};
};

EvaluationMode::EvaluationMode(const std::vector<torch::nn::Module*>& roots) : saved_(std::make_unique<Saved>()) {
  for (auto* root : roots) {
    if (!root) continue;
    saved_->modes.emplace_back(root, root->is_training());
    for (auto& module : root->modules(/*include_self=*/false)) {
      saved_->modes.emplace_back(module.get(), module->is_training());
      saved_->alive.push_back(module);
    }
    root->eval();
  }
}

EvaluationMode::~EvaluationMode() {
  // train() also sets everything below a module, so the children's own modes come after.
  for (const auto& [module, training] : saved_->modes) module->train(training);
}

}  // namespace elbo
