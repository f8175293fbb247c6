#pragma once
#include <map>
#include <string>

#include "elbo/math/shapes.h"

namespace elbo {

/// What the numbers of a field are.
enum class ValueKind {
  binary,    // exactly 0 or 1
  unit,      // real numbers in [0, 1]
  real,      // real numbers
  category,  // int64 class indices
};

struct FieldSpec {
  Shape shape = {};  // of one example: [C, H, W], [D] or []
  ValueKind kind = ValueKind::real;
  int64_t num_classes = 0;  // of a category
  /// Grey levels behind a unit value (256 for 8-bit images), 0 when there are none: what bits/dim needs.
  int64_t levels = 0;
};

/// What a data set will deliver, known from headers alone.
using DataSpec = std::map<std::string, FieldSpec>;

}  // namespace elbo
