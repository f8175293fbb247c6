#pragma once
#include "elbo/base/array.h"
#include "elbo/math/shapes.h"

namespace elbo {

/// A host tensor that owns a copy of the array. bfloat16 and float16 keep their type.
Tensor to_tensor(const Array& array);
/// Moves the array's bytes into a host tensor without a copy.
Tensor to_tensor(Array&& array);
/// A borrowed view of a contiguous host tensor; valid while the tensor lives. Throws UsageError for another device, layout or
/// type.
ArrayView view_of(const Tensor& host_tensor);
/// Our element type of a tensor's; throws UsageError for types no file format of ours has.
DType dtype_of(at::ScalarType type);
at::ScalarType scalar_type_of(DType type);

}  // namespace elbo
