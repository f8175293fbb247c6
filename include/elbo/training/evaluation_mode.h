#pragma once
#include <torch/nn/module.h>

#include <memory>
#include <vector>

namespace elbo {

/// Gradients off and the modules in evaluation mode for as long as it lives; each module then gets its own mode back.
class EvaluationMode {
 public:
  /// nullptr among the roots is skipped.
  explicit EvaluationMode(const std::vector<torch::nn::Module*>& roots);
  ~EvaluationMode();
  EvaluationMode(const EvaluationMode&) = delete;
  EvaluationMode& operator=(const EvaluationMode&) = delete;

 private:
  struct Saved;
  std::unique_ptr<Saved> saved_;
};

}  // namespace elbo
