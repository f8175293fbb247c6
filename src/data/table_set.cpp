#include "elbo/data/table_set.h"

#include <cmath>
#include <optional>
#include <set>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/data/memory_dataset.h"
#include "elbo/io/sha256.h"
#include "elbo/math/tensors.h"
#include "elbo/math/upload.h"
#include "table_file.h"

namespace elbo {
namespace {

/// A field of the whole table, [N, ...].
struct Rows {
  Tensor value = {};
  Tensor valid = {};  // undefined for the label
};

class TableSet final : public Dataset {
 public:
  TableSet(int64_t batch_size, DataSpec spec, std::map<std::string, Rows> whole, const std::array<Tensor, 3>& rows)
      : batch_size_(batch_size), spec_(std::move(spec)) {
    for (size_t split = 0; split < 3; ++split) {
      for (const auto& [name, field] : whole) {
        splits_[split][name] = {.value = field.value.index_select(0, rows[split]),
                                .valid = field.valid.defined() ? field.valid.index_select(0, rows[split]) : Tensor()};
      }
    }
  }

  const DataSpec& spec() const override { return spec_; }
  int64_t size(Split split) const override { return rows_of(split).at("x").value.size(0); }
  int64_t batch_size() const override { return batch_size_; }

  void load(at::Device device) override {
    for (auto& split : splits_) {
      for (auto& [name, field] : split) {
        field.value = field.value.to(device);
        if (field.valid.defined()) field.valid = field.valid.to(device);
      }
    }
  }

  Batch gather(Split split, const Tensor& index, Stream&) const override {
    check_shape(index, {kAnyExtent}, "rows to gather");
    if (index.numel() > 0 && (index.min().item<int64_t>() < 0 || index.max().item<int64_t>() >= size(split))) {
      throw UsageError(text("rows to gather: outside 0..", size(split) - 1));
    }
    Batch batch{.fields = {}, .index = index};
    for (const auto& [name, field] : rows_of(split)) {
      const Tensor places = upload(index, field.value.device());
      batch.fields[name].value = field.value.index_select(0, places);
      if (field.valid.defined()) batch.fields[name].valid = field.valid.index_select(0, places);
    }
    return batch;
  }

  std::string fingerprint() const override {
    if (fingerprint_) return *fingerprint_;
    Sha256 hash;
    const auto& columns = spec_.at("x").columns;
    for (const auto& column : columns) {
      hash.update(text(column.name, "\n", static_cast<int>(column.kind), " ", shortest(column.mean), " ", shortest(column.scale),
                       "\n", join(column.classes, "\n"), "\n"));
    }
    for (const auto& split : splits_) {
      for (const auto& [name, field] : split) {
        for (const auto& tensor : {field.value, field.valid}) {
          if (!tensor.defined()) continue;
          const Tensor host = tensor.cpu().contiguous();
          hash.update(text(name, " ", shape_text(host.sizes()), "\n"));
          hash.update(view_of(host).bytes);
        }
      }
    }
    fingerprint_ = hash.hex();
    return *fingerprint_;
  }

  Tensor training_mean() const override {
    const auto& x = rows_of(Split::train).at("x");
    const Tensor sum = torch::where(x.valid, x.value, torch::zeros({}, x.value.options())).to(torch::kDouble).sum(0);
    return (sum / x.valid.sum(0).clamp_min(1)).to(torch::kFloat).cpu();
  }

 private:
  const std::map<std::string, Rows>& rows_of(Split split) const { return splits_[static_cast<size_t>(split)]; }

  int64_t batch_size_;
  DataSpec spec_;
  std::array<std::map<std::string, Rows>, 3> splits_ = {};
  mutable std::optional<std::string> fingerprint_ = {};
};

Column described(const detail::RawColumn& column) {
  Column out{.name = column.name, .classes = column.classes};
  switch (column.type) {
    case TableColumnType::category:
      out.kind = ColumnKind::category;
      break;
    case TableColumnType::count:
      out.kind = ColumnKind::count;
      break;
    case TableColumnType::number:
    case TableColumnType::ignore:
      out.kind = ColumnKind::number;
      break;
  }
  return out;
}

/// [N, num_columns], NaN where missing.
Tensor cells_of(const std::vector<detail::RawColumn>& columns, int64_t num_rows) {
  std::vector<Tensor> all;
  for (const auto& column : columns) {
    all.push_back(torch::from_blob(const_cast<double*>(column.cells.data()), {num_rows}, torch::kDouble));
  }
  return torch::stack(all, 1);
}

/// Mean and standard deviation of the training cells that are there.
void standardise(Tensor cells, const Tensor& valid, const Tensor& train, Column& column, const std::string& where) {
  const Tensor seen = cells.index_select(0, train).masked_select(valid.index_select(0, train));
  if (seen.numel() == 0) {
    throw DataError(where + ": column " + in_quotes(column.name) +
                    ": every cell of the training rows is missing; leave the column out" + ", or lower data.missing_rate");
  }
  if (column.kind != ColumnKind::number) return;
  column.mean = seen.mean().item<double>();
  const double spread = seen.std(/*unbiased=*/false).item<double>();
  if (!std::isfinite(column.mean) || !std::isfinite(spread)) {
    throw DataError(where + ": column " + in_quotes(column.name) + ": numbers too large to be standardised; scale the column");
  }
  column.scale = spread > 1e-12 * std::abs(column.mean) ? spread : 1;  // a constant column stays 0
  cells.sub_(column.mean).div_(column.scale);
}

}  // namespace

void TableConfig::check(Relations& relations) const {
  split.check(relations);
  std::set<std::string> names;
  int64_t in_x = 0;
  for (size_t i = 0; i < columns.size(); ++i) {
    const auto& column = columns[i];
    const std::string place = "columns[" + std::to_string(i) + "].name";
    if (!names.insert(column.name).second) relations.problem("columns", place + ": '" + column.name + "' is named twice");
    if (column.name == label && column.type != TableColumnType::category) {
      relations.problem("columns", place + ": '" + label + "' is the label, whose type is category");
    }
    if (column.type != TableColumnType::ignore && column.name != label) ++in_x;
  }
  if (in_x == 0) relations.problem("columns", "leave no column for x");
}

std::shared_ptr<Dataset> make_table(const TableConfig& config, const DataContext& context) {
  const auto path = (context.root / config.path).lexically_normal();
  const auto table = detail::read_table(path, config);
  const int64_t num_rows = table.num_rows;
  const int64_t num_valid = num_held_out(config.split.valid_fraction, num_rows);
  const int64_t num_test = num_held_out(config.split.test_fraction, num_rows);
  if (num_rows < 3 || num_valid + num_test >= num_rows) {
    throw DataError(text(table.where, ": only ", count_of(num_rows, "row"), ": too few to split in train, valid and test"));
  }
  const auto rows = split_rows(num_rows, num_valid, num_test, context.seed);

  Tensor cells = cells_of(table.columns, num_rows);
  const Tensor present = cells.isnan().logical_not();
  Tensor valid = present;
  if (config.missing_rate > 0) {
    const Tensor u = Stream(context.seed, "missing", at::kCPU).uniform({num_rows}, {cells.size(1)});
    valid = present.logical_and(u.ge(config.missing_rate));
  }
  FieldSpec x{.shape = {cells.size(1)}, .kind = ValueKind::table};
  for (size_t i = 0; i < table.columns.size(); ++i) {
    const auto place = static_cast<int64_t>(i);
    x.columns.push_back(described(table.columns[i]));
    standardise(cells.select(1, place), valid.select(1, place), rows[0], x.columns.back(), table.where);
  }
  const auto kept = [&](const Tensor& mask) {
    return Rows{.value = torch::where(mask, cells, torch::zeros({}, cells.options())).to(torch::kFloat), .valid = mask};
  };
  DataSpec spec = {{"x", x}};
  std::map<std::string, Rows> whole = {{"x", kept(valid)}};
  if (config.missing_rate > 0) {
    spec["hidden"] = x;
    whole["hidden"] = kept(present.logical_and(valid.logical_not()));
  }
  for (const auto& label : table.label) {
    spec["label"] = {.shape = {}, .kind = ValueKind::category, .num_classes = static_cast<int64_t>(label.classes.size())};
    whole["label"] = {.value = cells_of({label}, num_rows).select(1, 0).to(torch::kLong)};
  }
  return std::make_shared<TableSet>(config.batch_size, std::move(spec), std::move(whole), rows);
}

}  // namespace elbo
