#pragma once
#include <string>
#include <vector>

namespace elbo {

enum class Align { left, right };

/// Aligned plain text for the terminal: a header line, a rule, then the rows; two spaces between columns.
class Table {
 public:
  struct Column {
    std::string title = {};
    Align align = Align::left;
  };

  explicit Table(std::vector<Column> columns);

  /// Throws: UsageError when the row has another number of cells than there are columns.
  Table& row(std::vector<std::string> cells);
  std::string str() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_ = {};
};

}  // namespace elbo
