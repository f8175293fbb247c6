#include "elbo/nn/table_features.h"

#include "elbo/base/error.h"
#include "elbo/base/text.h"

namespace elbo {

TableFeatures::TableFeatures(const std::vector<Column>& columns) : num_columns_(static_cast<int64_t>(columns.size())) {
  if (columns.empty()) throw ConfigError("a table without columns has no features");
  std::vector<int64_t> numbers, counts, column_of_indicator, classes;
  for (int64_t i = 0; i < num_columns_; ++i) {
    const auto& column = columns[static_cast<size_t>(i)];
    if (column.kind == ColumnKind::number) numbers.push_back(i);
    if (column.kind == ColumnKind::count) counts.push_back(i);
    if (column.kind != ColumnKind::category) continue;
    if (column.classes.empty()) throw ConfigError(text("column '", column.name, "' is a category without classes"));
    for (size_t v = 0; v < column.classes.size(); ++v) {
      column_of_indicator.push_back(i);
      classes.push_back(static_cast<int64_t>(v));
    }
  }
  size_ = static_cast<int64_t>(numbers.size() + counts.size() + classes.size()) + num_columns_;
  const auto tensor = [](const std::vector<int64_t>& places) { return torch::tensor(places, torch::kLong); };
  numbers_ = tensor(numbers);
  counts_ = tensor(counts);
  category_of_indicator_ = tensor(column_of_indicator);
  class_ = tensor(classes);
}

Tensor TableFeatures::operator()(const Tensor& value, const Tensor& valid) {
  check_shape(value, {kAnyExtent, num_columns_}, "table");
  if (class_.device() != value.device()) {  // once: a model moves before its first batch
    for (auto* places : {&numbers_, &counts_, &category_of_indicator_, &class_}) *places = places->to(value.device());
  }
  const auto there = valid.defined() ? valid : torch::ones_like(value, torch::kBool);
  const auto known = torch::where(there, value, torch::zeros({}, value.options()));
  const auto is_class = known.index_select(1, category_of_indicator_) == class_;
  return torch::cat(
      {known.index_select(1, numbers_), known.index_select(1, counts_).log1p(),
       (is_class & there.index_select(1, category_of_indicator_)).to(value.scalar_type()), (~there).to(value.scalar_type())},
      1);
}

}  // namespace elbo
