#pragma once
#include <optional>

#include "elbo/nn/table_features.h"

namespace elbo {

/// What an encoder sees of a field: numbers as they are, a table by its TableFeatures, classes as indicators. Rows that are not
/// present are 0, whatever stands there.
class FieldInput {
 public:
  /// Throws: ConfigError for a category without a number of classes.
  explicit FieldInput(const FieldSpec& spec);

  /// Of one example: [V] for a class, [V, T...] for an array of classes.
  const Shape& shape() const { return shape_; }
  /// `dtype`: of the indicators. Shapes: [B, shape()...].
  Tensor operator()(const Field& field, at::ScalarType dtype);

 private:
  Shape shape_;
  int64_t num_classes_ = 0;  // 0 = no classes
  std::optional<TableFeatures> table_ = {};
};

/// The field with 0 in rows that are not present: a NaN there reaches neither value nor gradient.
Field without_absent(const Field& field);

}  // namespace elbo
