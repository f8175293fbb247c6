#pragma once
#include <vector>

#include "elbo/data/batch.h"
#include "elbo/data/spec.h"

namespace elbo {

/// What an encoder sees of a table: numbers (0, the mean of the training rows, where missing), log(1 + count) (0 where missing),
/// one indicator a class (all 0 where missing), then one indicator a column that is 1 where its cell is missing. Source: the
/// zero-imputed input of Mattei & Frellsen 2019 (arXiv:1812.02633), with the mask beside it as in Ma et al. 2019
/// (arXiv:1809.11142).
class TableFeatures {
 public:
  /// Throws: ConfigError for no columns, or a category without classes.
  explicit TableFeatures(const std::vector<Column>& columns);

  int64_t size() const { return size_; }
  /// What stands in a missing cell has no influence. Shapes: value [B, num_columns], valid bool the same or undefined (all there)
  /// -> [B, size()].
  Tensor operator()(const Tensor& value, const Tensor& valid);
  Tensor operator()(const Field& field) { return (*this)(field.value, field.valid); }

 private:
  int64_t num_columns_;
  int64_t size_;
  Tensor numbers_, counts_;               // places of their columns, int64
  Tensor category_of_indicator_, class_;  // of each class indicator: its column, and the class it stands for
};

}  // namespace elbo
