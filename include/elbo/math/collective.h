#pragma once
#include "elbo/math/shapes.h"

namespace elbo {

/// Talk between the processes of one run. This default is a single process: every call returns at once.
class Collective {
 public:
  virtual ~Collective() = default;
  virtual int64_t rank() const { return 0; }
  virtual int64_t size() const { return 1; }
  /// Sums a tensor over all processes, in place.
  virtual void all_reduce_sum(Tensor&) {}
};

}  // namespace elbo
