#include "elbo/base/table.h"

#include <algorithm>

#include "elbo/base/error.h"
#include "elbo/base/text.h"

namespace elbo {

Table::Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

Table& Table::row(std::vector<std::string> cells) {
  if (cells.size() != columns_.size()) {
    throw UsageError(text("a table row has ", cells.size(), " cells, expected ", columns_.size()));
  }
  rows_.push_back(std::move(cells));
  return *this;
}

std::string Table::str() const {
  std::vector<int64_t> widths;
  for (size_t c = 0; c < columns_.size(); ++c) {
    widths.push_back(display_width(columns_[c].title));
    for (const auto& cells : rows_) widths[c] = std::max(widths[c], display_width(cells[c]));
  }
  const auto line = [&](const auto& cell_of) {
    std::string out;
    for (size_t c = 0; c < columns_.size(); ++c) {
      const std::string& cell = cell_of(c);
      const std::string padding(static_cast<size_t>(widths[c] - display_width(cell)), ' ');
      out += columns_[c].align == Align::left ? cell + padding : padding + cell;
      if (c + 1 < columns_.size()) out += "  ";
    }
    out.erase(out.find_last_not_of(' ') + 1);
    return out + "\n";
  };
  std::string out = line([&](size_t c) -> const std::string& { return columns_[c].title; });
  std::vector<std::string> rule;
  for (const int64_t width : widths) {
    std::string dashes;
    for (int64_t i = 0; i < width; ++i) dashes += "─";
    rule.push_back(dashes);
  }
  out += join(rule, "  ") + "\n";
  for (const auto& cells : rows_) out += line([&](size_t c) -> const std::string& { return cells[c]; });
  return out;
}

}  // namespace elbo
