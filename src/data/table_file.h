#pragma once
#include <limits>
#include <string>
#include <vector>

#include "elbo/data/table_set.h"

namespace elbo::detail {

/// A column as the file has it.
struct RawColumn {
  std::string name = {};
  TableColumnType type = TableColumnType::number;
  std::vector<double> cells = {};         // NaN is missing; of a category the class's place
  std::vector<std::string> classes = {};  // sorted
};

struct RawTable {
  std::string where = {};  // the file, for messages
  std::vector<RawColumn> columns = {};
  std::vector<RawColumn> label = {};  // none or one
  int64_t num_rows = 0;
};

/// Throws: DataError.
RawTable read_table(const std::filesystem::path& path, const TableConfig& config);

}  // namespace elbo::detail
