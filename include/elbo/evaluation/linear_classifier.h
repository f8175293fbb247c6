#pragma once
#include "elbo/math/shapes.h"

namespace elbo {

/// Multinomial logistic regression: the linear classifier of standardised inputs with the largest mean log-likelihood less
/// penalty / 2 times the squared weights (biases free). The problem is strictly convex but for the biases' common shift: the
/// result depends on no seed. Everything in float64 on the host.
struct LinearClassifier {
  Tensor weight = {};  // [V, D]
  Tensor bias = {};    // [V]
  Tensor centre = {};  // [D], taken off the inputs
  Tensor scale = {};   // [D], that then divides them

  /// Shapes: [N, D] -> [N, V].
  Tensor logits(const Tensor& inputs) const;
  /// Shapes: [N, D] -> [N] int64.
  Tensor predict(const Tensor& inputs) const;
};

/// By full-batch L-BFGS. Shapes: inputs [N, D], labels [N] int64 below num_classes. Throws: UsageError without rows.
LinearClassifier fit_linear_classifier(const Tensor& inputs, const Tensor& labels, int64_t num_classes, double penalty = 1e-4);

}  // namespace elbo
