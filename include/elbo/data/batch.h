#pragma once
#include <map>
#include <string>

#include "elbo/math/shapes.h"

namespace elbo {

/// One named component of a batch.
struct Field {
  Tensor value = {};    // [B, ...]
  Tensor present = {};  // [B] bool; undefined = every row is there
  Tensor valid = {};    // [B, T] bool for sequences; undefined = every position counts
};

/// Rows of a data set. Conventional names: x, label, condition, target, coordinates.
struct Batch {
  std::map<std::string, Field> fields = {};
  Tensor index = {};  // [B] int64, the rows' places in their split, on the host

  int64_t size() const { return index.size(0); }
  /// The value of a field; throws UsageError naming the fields there are.
  const Tensor& at(const std::string& name) const;
  bool has(const std::string& name) const { return fields.contains(name); }
};

}  // namespace elbo
