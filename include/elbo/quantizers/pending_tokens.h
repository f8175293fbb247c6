#pragma once
#include <vector>

#include "elbo/math/step.h"

namespace elbo {

/// The tokens that a codebook will learn from after the step, with their codes: several forward passes of a step add up, in their
/// order. Those of a step that was given up (not finite) are forgotten when the next one begins. No part of a module's state.
class PendingTokens {
 public:
  /// Shapes: z [B, ..., D], indices int64 [B, ..., 1], mask [B, ...] or undefined.
  void add(const Tensor& z, const Tensor& indices, const Tensor& mask, const Step& step);

  struct Rows {
    Tensor tokens = {};   // [N, D], detached; undefined where no forward pass was made
    Tensor indices = {};  // [N]
  };
  /// All of them; none are left.
  Rows take();

 private:
  int64_t step_ = -1;
  std::vector<Tensor> tokens_ = {}, indices_ = {};
};

/// How often each code was chosen by the tokens of all processes, and the sum of those that chose it. float32.
struct CodeStatistics {
  Tensor count = {};  // [V]
  Tensor sum = {};    // [V, D]
};
CodeStatistics code_statistics(const PendingTokens::Rows& rows, int64_t num_codes, Collective& collective);

/// The same rows in every process: those of the first one.
Tensor of_first_process(const Tensor& rows, Collective& collective);

}  // namespace elbo
