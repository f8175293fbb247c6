#include "subset_tables.h"

#include <algorithm>

#include "elbo/base/text.h"

namespace elbo::detail {
namespace {

/// The place of a name in a list, at whose end it is put where it's new.
size_t place_of(std::vector<std::string>& list, const std::string& name) {
  const auto found = std::find(list.begin(), list.end(), name);
  const auto place = static_cast<size_t>(found - list.begin());
  if (found == list.end()) list.push_back(name);
  return place;
}

void put(SubsetTable& table, const std::string& row, const std::string& column, const std::string& text) {
  const auto place = place_of(table.columns, column);
  auto found = std::find_if(table.rows.begin(), table.rows.end(), [&](const auto& one) { return one.first == row; });
  if (found == table.rows.end()) found = table.rows.insert(table.rows.end(), {row, {}});
  for (auto& one : table.rows) one.second.resize(table.columns.size());
  found->second[place] = text;
}

}  // namespace

std::optional<SubsetNumber> subset_number(std::string_view key) {
  const auto open = key.find('('), close = key.rfind(')');
  if (open == std::string_view::npos || close == std::string_view::npos || open == 0 || close < open) return std::nullopt;
  SubsetNumber number{.quantity = std::string(key.substr(0, open)) + std::string(key.substr(close + 1))};
  const auto inside = key.substr(open + 1, close - open - 1);
  if (const auto bar = inside.find('|'); bar != std::string_view::npos) {
    number.of = inside.substr(0, bar);
    number.given = inside.substr(bar + 1);
  } else if (const auto arrow = inside.find("->"); arrow != std::string_view::npos) {
    number.given = inside.substr(0, arrow);
    number.of = inside.substr(arrow + 2);
  } else {
    number.of = inside;
  }
  return number;
}

std::vector<SubsetTable> subset_tables(const std::vector<std::pair<std::string, std::string>>& cells) {
  SubsetTable by_itself;
  std::vector<SubsetTable> conditional;
  for (const auto& [key, words] : cells) {
    const auto number = subset_number(key);
    if (!number) continue;
    if (number->given.empty()) {
      put(by_itself, number->of, number->quantity, words);
      continue;
    }
    auto found = std::find_if(conditional.begin(), conditional.end(),
                              [&, &wanted = *number](const auto& table) { return table.quantity == wanted.quantity; });
    if (found == conditional.end()) found = conditional.insert(conditional.end(), {.quantity = number->quantity});
    put(*found, number->given, number->of, words);
  }
  std::vector<SubsetTable> tables;
  if (!by_itself.rows.empty()) tables.push_back(std::move(by_itself));
  for (auto& table : conditional) {
    auto order = table.columns;  // first seen is not in order where the first subsets have but some targets
    std::sort(order.begin(), order.end());
    SubsetTable sorted{.quantity = table.quantity, .columns = order};
    for (const auto& [row, texts] : table.rows) {
      for (size_t i = 0; i < texts.size(); ++i) put(sorted, row, table.columns[i], texts[i]);
    }
    tables.push_back(std::move(sorted));
  }
  return tables;
}

}  // namespace elbo::detail
