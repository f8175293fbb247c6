#pragma once
#include <torch/nn/module.h>

#include "elbo/config/catalog.h"
#include "elbo/config/choice.h"
#include "elbo/distributions/distribution.h"

namespace elbo {

/// p(z).
class Prior : public torch::nn::Module {
 public:
  /// Shapes: batch [B] (the same distribution for each row), event [D].
  virtual DistributionPtr forward(int64_t B) = 0;
};

struct PriorContext {
  int64_t latent_size = 0;
  Stream& init;
};

/// The axis `prior`: standard_normal, mixture (learned), …
Catalog<Prior, const PriorContext&>& priors();
using PriorChoice = Choice<Prior, const PriorContext&>;

}  // namespace elbo
