#pragma once
#include <utility>

#include "elbo/math/shapes.h"

namespace elbo::detail {

/// A float64 tensor that is no state: copied once to each device and type that asks for it, so that it need not be in checkpoints
/// and costs nothing from the second step on.
class Constant {
 public:
  explicit Constant(Tensor host) : host_(std::move(host)) {}
  const Tensor& like(const Tensor& other) { return on(other.device(), other.scalar_type()); }
  const Tensor& on(at::Device device, at::ScalarType type) {
    if (!copy_.defined() || copy_.device() != device || copy_.scalar_type() != type) copy_ = host_.to(device, type);
    return copy_;
  }
  /// Where it was last asked for.
  at::Device device() const { return copy_.defined() ? copy_.device() : host_.device(); }

 private:
  Tensor host_;
  Tensor copy_ = {};
};

}  // namespace elbo::detail
