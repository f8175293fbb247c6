#pragma once
#include "elbo/models/family.h"

namespace elbo {

/// Fills the elements of x that are missing by self-normalised importance sampling from q(z | observed): sum_k w_k E[x | z_k]
/// with w_k the normalised p(x_observed | z_k) p(z_k) / q(z_k | x_observed); a category gets its most probable class. Source:
/// Mattei & Frellsen 2019 (arXiv:1812.02633), eq. 12 (their single imputation by the conditional mean). Shapes: [B, event...];
/// observed elements as they are. The model should be in evaluation mode, gradients off.
Tensor impute(Variational& model, const Batch& batch, int64_t K, Noise& noise);

}  // namespace elbo
