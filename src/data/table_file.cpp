#include "table_file.h"

#include <algorithm>
#include <cmath>

#include "arrays.h"
#include "cells.h"
#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/io/csv.h"
#include "elbo/io/npy.h"
#include "elbo/math/tensors.h"
#include "memory.h"

namespace elbo::detail {
namespace {

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();
constexpr double kLargestCount = 1 << 24;  // exact in float32
constexpr size_t kMostClasses = size_t{1} << 16;

void check_count(double value, const std::string& as_written, const Fail& fail) {
  if (value >= 0 && value <= kLargestCount && value == std::floor(value)) return;
  fail(as_written + " is no count; a whole number from 0 to 16777216 expected (type: number takes any)");
}

RawTable read_csv_table(const std::filesystem::path& path, const TableConfig& config) {
  std::error_code error;
  const auto size = static_cast<int64_t>(std::filesystem::file_size(path, error));
  check_host_memory(path.string(), 8 * size, available_host_bytes());  // a cell of two characters becomes two numbers
  CsvReader reader(path, config.separator.front());
  const auto& header = reader.header();
  const auto place_of = [&](const std::string& name) {
    const auto found = std::find(header.begin(), header.end(), name);
    if (found == header.end()) {
      throw DataError(path.string() + ": line 1: no column '" + name + "'" +
                      did_you_mean(name, header, "it has " + join(header, ", ")));
    }
    return static_cast<size_t>(found - header.begin());
  };
  RawTable table{.where = path.string()};
  std::vector<size_t> places;
  for (const auto& column : config.columns) {
    if (column.type == TableColumnType::ignore || column.name == config.label) continue;
    places.push_back(place_of(column.name));
    table.columns.push_back({.name = column.name, .type = column.type});
  }
  if (!config.label.empty()) {
    places.push_back(place_of(config.label));
    table.columns.push_back({.name = config.label, .type = TableColumnType::category});
  }
  std::vector<ClassNames> classes(table.columns.size());
  std::vector<std::string> cells;
  while (reader.next(cells)) {
    for (size_t i = 0; i < places.size(); ++i) {
      auto& column = table.columns[i];
      const std::string cell(trim(cells[places[i]]));
      const Fail fail = [&](const std::string& problem) { reader.fail(places[i], problem); };
      if (std::find(config.missing.begin(), config.missing.end(), cell) != config.missing.end()) {
        column.cells.push_back(kMissing);
      } else if (column.type == TableColumnType::category) {
        column.cells.push_back(classes[i].add(cell, fail));
      } else {
        const auto value = parsed_number(cell);
        if (!value) fail(in_quotes(cell) + " is no finite number; if it stands for a missing cell, add it to data.missing");
        if (column.type == TableColumnType::count) check_count(*value, in_quotes(cell), fail);
        column.cells.push_back(*value);
      }
      if (std::isnan(column.cells.back()) && !config.label.empty() && i + 1 == places.size()) fail("the label is missing");
    }
    ++table.num_rows;
  }
  for (size_t i = 0; i < classes.size(); ++i) {
    if (table.columns[i].type == TableColumnType::category) table.columns[i].classes = classes[i].sorted(table.columns[i].cells);
  }
  return table;
}

/// The classes are numbers here, so they are sorted as such.
void number_classes(RawColumn& column) {
  std::vector<double> values;
  std::copy_if(column.cells.begin(), column.cells.end(), std::back_inserter(values),
               [](double cell) { return !std::isnan(cell); });
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  for (double& cell : column.cells) {
    if (!std::isnan(cell)) cell = static_cast<double>(std::lower_bound(values.begin(), values.end(), cell) - values.begin());
  }
  for (const double value : values) column.classes.push_back(shortest(value));
}

RawTable read_array_table(const std::filesystem::path& path, const TableConfig& config, bool archive) {
  const std::string where = path.string() + (archive ? ": array '" + config.array + "'" : "");
  if (archive && !NpzReader(path).contains(config.array)) {
    throw DataError(path.string() + ": no array '" + config.array + "'; it has " + join(NpzReader(path).names(), ", "));
  }
  const auto shape = (archive ? NpzReader(path).header(config.array) : read_npy_header(path)).shape;
  const auto num_columns = static_cast<int64_t>(config.columns.size());
  if (shape.size() != 2 || shape[1] != num_columns) {
    throw DataError(text(where, ": extents ", shape_text(shape), ", but data.columns names ", count_of(num_columns, "column"),
                         "; [rows, ", num_columns, "] expected (type: ignore passes one over)"));
  }
  check_host_memory(where, 24 * num_elements(shape), available_host_bytes());
  const Tensor values =
      to_tensor(archive ? NpzReader(path).read(config.array) : read_npy(path)).to(torch::kDouble).t().contiguous();
  RawTable table{.where = where};
  table.num_rows = values.size(1);
  std::vector<RawColumn> label;
  for (int64_t i = 0; i < num_columns; ++i) {
    const auto& given = config.columns[static_cast<size_t>(i)];
    if (given.type == TableColumnType::ignore && given.name != config.label) continue;
    RawColumn column{.name = given.name, .type = given.type};
    const auto* cells = values[i].data_ptr<double>();
    column.cells.assign(cells, cells + table.num_rows);
    const bool is_label = given.name == config.label;
    if (is_label) column.type = TableColumnType::category;
    for (int64_t row = 0; row < table.num_rows; ++row) {
      const double cell = cells[row];
      const Fail fail = [&](const std::string& problem) {
        throw DataError(text(where, ": row ", row, ", column ", i + 1, " (", in_quotes(given.name), "): ", problem));
      };
      if (std::isnan(cell)) {
        if (is_label) fail("the label is missing");
        continue;
      }
      if (std::isinf(cell)) fail("infinite; a finite number, or NaN for a missing cell, expected");
      if (column.type == TableColumnType::count) check_count(cell, shortest(cell), fail);
      if (column.type == TableColumnType::category && cell != std::floor(cell))
        fail(shortest(cell) + " is no class; a whole number expected");
    }
    if (column.type == TableColumnType::category) number_classes(column);
    if (column.classes.size() > kMostClasses) {
      throw DataError(text(where, ": column ", i + 1, " (", in_quotes(given.name), "): more than ", kMostClasses,
                           " classes; is it a number?"));
    }
    (is_label ? label : table.columns).push_back(std::move(column));
  }
  if (!config.label.empty() && label.empty())
    throw DataError(where + ": no column is named '" + config.label + "' in data.columns");
  for (auto& column : label) table.columns.push_back(std::move(column));
  return table;
}

}  // namespace

RawTable read_table(const std::filesystem::path& path, const TableConfig& config) {
  check_exists(path, "relative paths start at the data root, which --data-root sets");
  const auto extension = path.extension();
  auto table = extension == ".npy" || extension == ".npz" ? read_array_table(path, config, extension == ".npz")
                                                          : read_csv_table(path, config);
  if (!config.label.empty()) {  // both readers put it last
    table.label.push_back(std::move(table.columns.back()));
    table.columns.pop_back();
  }
  return table;
}

}  // namespace elbo::detail
