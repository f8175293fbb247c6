#include "manifest.h"

#include <algorithm>
#include <cmath>

#include "arrays.h"
#include "cells.h"
#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/io/csv.h"

namespace elbo::detail {
namespace {

namespace fs = std::filesystem;

bool holds_files(PairedColumnType type) { return type == PairedColumnType::image || type == PairedColumnType::array; }

size_t column_place(const CsvReader& reader, const fs::path& path, const std::string& name) {
  const auto& header = reader.header();
  const auto found = std::find(header.begin(), header.end(), name);
  if (found == header.end()) {
    throw DataError(path.string() + ": line 1: no column '" + name + "'" +
                    did_you_mean(name, header, "it has " + join(header, ", ")));
  }
  return static_cast<size_t>(found - header.begin());
}

/// Relative, staying in the folder, and there.
void check_paired_file(const fs::path& folder, const std::string& cell, const Fail& fail) {
  const fs::path name(cell);
  if (name.is_absolute() || std::find(name.begin(), name.end(), "..") != name.end()) {
    fail(in_quotes(cell) + " leads out of " + folder.string() + "; name the folder where all paths start with data.folder");
  }
  std::error_code error;
  if (!fs::is_regular_file(folder / name, error)) fail((folder / name).string() + ": no such file");
}

Split split_named(const std::string& cell, const Fail& fail) {
  for (const auto& [name, split] : enum_names(Split{})) {
    if (cell == name) return split;
  }
  fail(in_quotes(cell) + " is no split; train, valid or test expected");
  return Split::train;
}

}  // namespace

bool Manifest::has(const ManifestColumn& column, int64_t row) const {
  const auto i = static_cast<size_t>(row);
  return holds_files(column.config.type) ? !column.files[i].empty() : !std::isnan(column.cells[i]);
}

std::string Manifest::where(const ManifestColumn& column, int64_t row) const {
  return text(path.string(), ": line ", lines[static_cast<size_t>(row)], ", column ", column.place + 1, " (",
              in_quotes(column.config.name), ")");
}

Manifest read_manifest(const PairedConfig& config, const fs::path& root) {
  const auto path = (root / config.path).lexically_normal();
  check_exists(path, "relative paths start at the data root, which --data-root sets");
  Manifest manifest{.path = path};
  manifest.folder = config.folder.empty() ? path.parent_path() : (root / config.folder).lexically_normal();
  CsvReader reader(path, config.separator.front());
  for (const auto& column : config.columns) {
    manifest.columns.push_back({.config = column, .place = column_place(reader, path, column.name)});
  }
  const size_t split_place = config.split_column.empty() ? 0 : column_place(reader, path, config.split_column);
  std::vector<ClassNames> classes(manifest.columns.size());
  std::vector<std::string> cells;
  while (reader.next(cells)) {
    bool any = false;
    for (size_t i = 0; i < classes.size(); ++i) {
      auto& column = manifest.columns[i];
      const std::string cell(trim(cells[column.place]));
      const Fail fail = [&](const std::string& problem) { reader.fail(column.place, problem); };
      const bool gap = std::find(config.gaps.begin(), config.gaps.end(), cell) != config.gaps.end();
      any = any || !gap;
      if (holds_files(column.config.type)) {
        if (!gap) check_paired_file(manifest.folder, cell, fail);
        column.files.push_back(gap ? std::string() : cell);
      } else if (gap) {
        column.cells.push_back(std::numeric_limits<double>::quiet_NaN());
      } else if (column.config.type == PairedColumnType::category) {
        column.cells.push_back(classes[i].add(cell, fail));
      } else {
        const auto value = parsed_number(cell);
        if (!value) fail(in_quotes(cell) + " is no finite number; if it stands for nothing, add it to data.gaps");
        column.cells.push_back(*value);
      }
    }
    if (!any) throw DataError(text(path.string(), ": line ", reader.line(), ": every column is a gap; leave the line out"));
    manifest.lines.push_back(reader.line());
    if (config.split_column.empty()) continue;
    manifest.splits.push_back(split_named(std::string(trim(cells[split_place])),
                                          [&](const std::string& problem) { reader.fail(split_place, problem); }));
  }
  for (size_t i = 0; i < classes.size(); ++i) {
    auto& column = manifest.columns[i];
    if (column.config.type == PairedColumnType::category) column.classes = classes[i].sorted(column.cells);
  }
  return manifest;
}

}  // namespace elbo::detail
