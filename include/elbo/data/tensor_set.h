#pragma once
#include "elbo/data/dataset.h"
#include "elbo/data/options.h"

namespace elbo {

/// How a program's own tensors become a data set.
struct TensorSetOptions {
  DataOptions options = {};
  SplitOptions split = {};
  ValueKind kind = ValueKind::real;  // of x: real, unit or binary
  int64_t classes = 10;              // of the labels
  uint64_t seed = 0;                 // of the split and of binarised evaluation rows
};

/// A data set of rows that the program holds already, split by seed; fields x and, where `label` is defined, label.
/// Shapes: x [N, event...], bytes (0..255 of [0, 1] where kind is unit) or floating point; label [N] integers.
/// Throws: ShapeError, ConfigError.
std::shared_ptr<Dataset> make_tensor_set(const Tensor& x, const TensorSetOptions& options = {}, const Tensor& label = {});

}  // namespace elbo
