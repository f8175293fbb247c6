#pragma once
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "elbo/data/paired_set.h"

namespace elbo::detail {

/// A column of a manifest.
struct ManifestColumn {
  PairedColumnConfig config = {};
  size_t place = 0;                       // in the file
  std::vector<double> cells = {};         // of a number or category; NaN is a gap
  std::vector<std::string> classes = {};  // sorted
  std::vector<std::string> files = {};    // of an image or array, relative to the folder; empty is a gap
};

struct Manifest {
  std::filesystem::path path = {};
  std::filesystem::path folder = {};
  std::vector<ManifestColumn> columns = {};
  std::vector<int64_t> lines = {};  // of each row
  std::vector<Split> splits = {};   // of each row, where a column says it
  int64_t num_rows() const { return static_cast<int64_t>(lines.size()); }
  bool has(const ManifestColumn& column, int64_t row) const;
  /// "PATH: line N, column C ('NAME')".
  std::string where(const ManifestColumn& column, int64_t row) const;
};

/// Files named in it exist. Throws: DataError.
Manifest read_manifest(const PairedConfig& config, const std::filesystem::path& root);

}  // namespace elbo::detail
