#pragma once
#include <torch/nn/module.h>

#include "elbo/math/shapes.h"

namespace elbo {

/// Which way generalised divisive normalisation goes.
enum class GdnDirection { divide, multiply };

/// y_i = x_i / s_i with s_i = sqrt(beta_i + sum_j gamma_ij x_j^2) over the channels of a place, or its approximate inverse
/// x_i s_i. Starts at beta 1, gamma 0.1 I. beta >= 1e-6 and gamma >= 0 by squares of the parameters, which are
/// sqrt(value + 2^-36).
/// Source: Ballé et al. 2016 (arXiv:1511.06281), eq. 3, and 2017 (arXiv:1611.01704), with the parametrisation of their code.
/// Parameters: beta [C], gamma [C, C].
class Gdn final : public torch::nn::Module {
 public:
  Gdn(int64_t channels, GdnDirection direction);
  /// Shapes: [N, C, H, W] -> the same.
  Tensor forward(const Tensor& x);

 private:
  GdnDirection direction_;
  Tensor beta_, gamma_;
};

}  // namespace elbo
