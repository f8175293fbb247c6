#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "elbo/data/dataset.h"
#include "elbo/data/options.h"

namespace elbo {

/// What a file's column is; `ignore` is for columns of an array that a model should not see.
enum class TableColumnType { number, category, count, ignore };
constexpr auto enum_names(TableColumnType) {
  using namespace std::string_view_literals;
  return std::array{std::pair{"number"sv, TableColumnType::number}, std::pair{"category"sv, TableColumnType::category},
                    std::pair{"count"sv, TableColumnType::count}, std::pair{"ignore"sv, TableColumnType::ignore}};
}

struct TableColumnConfig {
  std::string name = {};
  TableColumnType type = TableColumnType::number;

  template <class F>
  void fields(F& field) {
    field("name", name, "as the header of a CSV file spells it; of an array, a name for its next column", required, non_empty);
    field("type", type, "number (standardised), category (text or whole numbers), count (0, 1, 2, …) or ignore");
  }
};

/// A table from a CSV file with a header line (plain or gzipped), an NPY file or an array of an NPZ archive, [rows, columns].
/// Numbers are standardised by the cells of the training split that are there; the classes of a category are the values of the
/// whole file, sorted. Missing cells (an empty or listed text, NaN) are left out by x's mask, `Field::valid` [B, num_columns];
/// their value is 0 and means nothing. The file is read when the set is made, since only its rows tell the classes. Split by the
/// run's seed. Fields: x [num_columns], of kind table; label where one is named; with missing_rate, `hidden`: the true values of
/// the cells that were hidden, its mask the cells.
struct TableConfig {
  SplitOptions split = {};
  std::filesystem::path path = {};
  std::vector<TableColumnConfig> columns = {};
  std::string label = {};
  std::vector<std::string> missing = {"", "NA", "NaN"};
  double missing_rate = 0;
  std::string separator = ",";
  std::string array = "x";
  int64_t batch_size = 128;

  template <class F>
  void fields(F& field) {
    field("path", path, "the file (.csv, .csv.gz, .npy or .npz); relative to the data root", required, non_empty);
    field("columns", columns, "the columns: of a CSV file by name, the others are ignored; of an array one for each, in order",
          required, non_empty);
    field("label", label, "name of the column that is the label, a category kept out of x; none when empty");
    field("missing", missing, "texts of a CSV file that stand for a missing cell");
    field("missing_rate", missing_rate, "share of the cells that is hidden, drawn by the run's seed: to try imputation",
          at_least(0).below(1));
    field("separator", separator, "character between the cells of a CSV file", length_exactly(1));
    field("array", array, "name of the array in an NPZ archive", non_empty);
    field("batch_size", batch_size, "rows a training batch", between(1, 1 << 20));
    split.fields(field);
  }
  void check(Relations& relations) const;
};

/// Throws: DataError naming the file, the line or row and the column.
std::shared_ptr<Dataset> make_table(const TableConfig& config, const DataContext& context);

}  // namespace elbo
