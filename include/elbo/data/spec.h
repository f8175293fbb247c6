#pragma once
#include <array>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "elbo/math/shapes.h"

namespace elbo {

/// What the numbers of a field are.
enum class ValueKind {
  binary,    // exactly 0 or 1
  unit,      // real numbers in [0, 1]
  real,      // real numbers
  category,  // int64 class indices
  table,     // [num_columns] float32, each column of its own kind, cells may be missing
};

enum class ColumnKind { number, category, count };
constexpr auto enum_names(ColumnKind) {
  using namespace std::string_view_literals;
  return std::array{std::pair{"number"sv, ColumnKind::number}, std::pair{"category"sv, ColumnKind::category},
                    std::pair{"count"sv, ColumnKind::count}};
}

/// A column of a table as a model sees it: numbers are standardised, categories are class indices, counts are as they are.
struct Column {
  std::string name = {};
  ColumnKind kind = ColumnKind::number;
  std::vector<std::string> classes = {};  // of a category, in the order of the indices
  double mean = 0;                        // of the training rows, in the file's units
  double scale = 1;                       // standard deviation of the same
};

struct FieldSpec {
  Shape shape = {};  // of one example: [C, H, W], [D] or []
  ValueKind kind = ValueKind::real;
  int64_t num_classes = 0;  // of a category
  /// Grey levels behind a unit value (256 for 8-bit images), 0 when there are none: what bits/dim needs.
  int64_t levels = 0;
  std::vector<Column> columns = {};  // of a table
  bool may_be_missing = false;       // some rows lack the field: Field::present
};

/// What a data set will deliver, known from headers alone.
using DataSpec = std::map<std::string, FieldSpec>;

}  // namespace elbo
