#include "elbo/evaluation/table_csv.h"

#include <cmath>
#include <cstdio>

#include "elbo/base/error.h"
#include "elbo/base/text.h"

namespace elbo {
namespace {

/// To the seven digits that float32 knows.
std::string rounded(double value) {
  char digits[32];
  std::snprintf(digits, sizeof digits, "%.7g", value);
  return digits;
}

std::string class_name(const Column& column, double value) {
  const auto index = std::llround(value);
  if (!(value >= 0) || index >= static_cast<int64_t>(column.classes.size())) {
    throw DataError(text("column '", column.name, "': ", shortest(value), " is none of its ", column.classes.size(), " classes"));
  }
  return column.classes[static_cast<size_t>(index)];
}

}  // namespace

std::string csv_cell(const std::string& words) {
  if (!words.empty() && words.find_first_of(",\"\r\n") == std::string::npos) return words;
  std::string quoted = "\"";
  for (const char c : words) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + "\"";
}

std::string table_csv(const std::vector<Column>& columns, const Tensor& rows) {
  const auto num_columns = static_cast<int64_t>(columns.size());
  check_shape(rows, {kAnyExtent, num_columns}, "table");
  const auto host = rows.to(torch::kCPU, torch::kDouble).contiguous();
  const auto* values = host.const_data_ptr<double>();
  std::string csv;
  for (int64_t i = 0; i < num_columns; ++i) csv += (i == 0 ? "" : ",") + csv_cell(columns[static_cast<size_t>(i)].name);
  csv += "\n";
  for (int64_t row = 0; row < host.size(0); ++row) {
    for (int64_t i = 0; i < num_columns; ++i) {
      const auto& column = columns[static_cast<size_t>(i)];
      const double value = values[row * num_columns + i];
      if (i > 0) csv += ",";
      switch (column.kind) {
        case ColumnKind::category:
          csv += csv_cell(class_name(column, value));
          break;
        case ColumnKind::number:
          csv += rounded(value * column.scale + column.mean);
          break;
        case ColumnKind::count:
          csv += rounded(value);
          break;
      }
    }
    csv += "\n";
  }
  return csv;
}

}  // namespace elbo
