#pragma once
#include "elbo/data/batch.h"
#include "elbo/math/step.h"

namespace elbo {

/// A model or objective that looks at data before its first step (k-means codebooks, data-dependent initialisation). The trainer
/// calls it once in the life of a run, without gradients.
class Initialises {
 public:
  virtual ~Initialises() = default;
  virtual void initialise(const Batch& batch, Step& step) = 0;
};

}  // namespace elbo
