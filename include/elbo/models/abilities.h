#pragma once
#include "elbo/data/batch.h"
#include "elbo/math/random.h"

namespace elbo {

// What a model can do beyond its family; found at the command line's edge by dynamic_cast.

/// Draws new data. Shapes: [count, event...] of field x: the likelihood's mean (what one looks at).
class Samples {
 public:
  virtual ~Samples() = default;
  virtual Tensor sample(int64_t count, double temperature, Noise& noise) = 0;
};

/// Gives each row back through its code. Shapes: [B, event...].
class Reconstructs {
 public:
  virtual ~Reconstructs() = default;
  virtual Tensor reconstruct(const Batch& batch) = 0;
};

/// Gives a code for each row: the posterior's mean. Shapes: [B, D].
class Encodes {
 public:
  virtual ~Encodes() = default;
  virtual Tensor encode(const Batch& batch) = 0;
};

}  // namespace elbo
