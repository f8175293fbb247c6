#pragma once
#include "elbo/math/shapes.h"

namespace elbo::detail {

/// A per-row tensor [leading...] made ready to multiply [leading..., event...].
inline Tensor over_event(const Tensor& per_row, int64_t event_dims) {
  auto shape = per_row.sizes().vec();
  shape.insert(shape.end(), static_cast<size_t>(event_dims), 1);
  return per_row.reshape(shape);
}

}  // namespace elbo::detail
