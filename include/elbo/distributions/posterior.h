#pragma once
#include <torch/nn/module.h>

#include "elbo/config/catalog.h"
#include "elbo/config/choice.h"
#include "elbo/distributions/distribution.h"

namespace elbo {

/// From features to q(z | x). Owns its heads, e.g. `mean` and `log_var`.
class Posterior : public torch::nn::Module {
 public:
  /// Shapes: features [B, F] -> batch [B], event [D].
  virtual DistributionPtr forward(const Tensor& features) = 0;
};

struct PosteriorContext {
  int64_t num_features = 0;
  int64_t latent_size = 0;
  Stream& init;
};

/// The axis `posterior`: normal, and those that later papers add.
Catalog<Posterior, const PosteriorContext&>& posteriors();
using PosteriorChoice = Choice<Posterior, const PosteriorContext&>;

}  // namespace elbo
