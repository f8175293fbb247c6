#include "elbo/evaluation/evaluator.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "elbo/base/table.h"
#include "elbo/base/text.h"
#include "elbo/base/version.h"
#include "rows.h"
#include "subset_tables.h"

namespace elbo {
namespace {

/// A stream would print the sign of a NaN, which means nothing.
std::string spelled(double not_finite) { return std::isnan(not_finite) ? "nan" : not_finite > 0 ? "inf" : "-inf"; }

void check_finite(const std::string& metric, const Measurement& measured) {
  if (measured.per_example.defined()) {
    const auto bad = measured.per_example.isfinite().logical_not().nonzero().flatten();
    if (bad.numel() > 0) {
      const auto row = bad[0].item<int64_t>();
      throw NumericalError(text("metric '", metric, "': ", measured.key(), " is ",
                                spelled(measured.per_example[row].item<double>()), " for row ", row, " and not finite for ",
                                bad.numel(), " of ", count_of(measured.per_example.size(0), "row")));
    }
  }
  if (!std::isfinite(measured.value)) {
    throw NumericalError(text("metric '", metric, "': ", measured.key(), " is ", spelled(measured.value)));
  }
}

bool is_count(const Measurement& measured) {
  return !measured.standard_error && measured.unit.empty() && measured.value == std::floor(measured.value) &&
         std::abs(measured.value) < 1e15;
}

std::string shown(const Measurement& measured, double value) {
  if (is_count(measured)) return with_commas(static_cast<int64_t>(value));
  char buffer[64];
  std::snprintf(buffer, sizeof(buffer), "%.4f", value);
  return buffer;
}

/// "-81.2504 ± 0.4310"
std::string with_its_error(const Measurement& measured) {
  const auto value = shown(measured, measured.value);
  return measured.standard_error ? text(value, " ± ", shown(measured, *measured.standard_error)) : value;
}

std::string ended(std::string lines) {
  if (lines.empty() || lines.back() != '\n') lines += '\n';
  return lines;
}

std::string table_text(const detail::SubsetTable& table) {
  std::vector<Table::Column> columns = {{table.quantity.empty() ? "modalities" : "given"}};
  for (const auto& name : table.columns) columns.push_back({name, Align::right});
  Table lines(columns);
  for (const auto& [name, cells] : table.rows) {
    std::vector<std::string> row = {name};
    row.insert(row.end(), cells.begin(), cells.end());
    lines.row(std::move(row));
  }
  return (table.quantity.empty() ? "" : table.quantity + " of each modality\n") + ended(lines.str());
}

}  // namespace

EvaluationResult evaluate(const EvaluationContext& context, const std::vector<std::string>& names) {
  std::vector<std::pair<std::string, std::shared_ptr<Metric>>> chosen;
  for (const auto& name : names) {
    const bool again = std::any_of(chosen.begin(), chosen.end(), [&](const auto& other) { return other.first == name; });
    if (!again) chosen.emplace_back(name, metrics().make(name));
  }
  for (const auto& [name, metric] : chosen) metric->check(context);
  EvaluationResult result{
      .split = context.split, .num_examples = detail::num_rows(context), .samples = context.samples, .seed = context.seed};
  for (const auto& [name, metric] : chosen) {
    for (auto& measured : metric->evaluate(context)) {
      check_finite(name, measured);
      result.measurements.push_back(std::move(measured));
    }
  }
  return result;
}

const Measurement& EvaluationResult::at(std::string_view key) const {
  std::vector<std::string> keys;
  for (const auto& measured : measurements) {
    if (measured.key() == key) return measured;
    keys.push_back(measured.key());
  }
  throw UsageError(text("no measurement '", key, "'", did_you_mean(key, keys, "measured: " + join(keys, ", "))));
}

Json to_json(const EvaluationResult& result, const EvaluationOrigin& origin) {
  Json values = Json::object(), notes = Json::object();
  for (const auto& measured : result.measurements) {
    values[measured.key()] = is_count(measured) ? Json(static_cast<int64_t>(measured.value)) : Json(measured.value);
    if (measured.standard_error) values[measured.error_key()] = *measured.standard_error;
    if (!measured.note.empty()) notes[measured.key()] = measured.note;
  }
  Json json = {{"run", origin.run},
               {"checkpoint", origin.checkpoint},
               {"config", origin.config},
               {"weights_sha256", origin.weights_sha256},
               {"data_sha256", origin.data_sha256},
               {"elbo_version", kVersion},
               {"device", origin.device},
               {"split", std::string(split_name(result.split))},
               {"num_examples", result.num_examples},
               {"limit", origin.limit},
               {"samples", result.samples},
               {"seed", result.seed},
               {"metrics", values}};
  if (!notes.empty()) json["notes"] = notes;
  return json;
}

std::string to_text(const EvaluationResult& result) {
  Table table({{"metric"}, {"value", Align::right}, {"standard error", Align::right}});
  std::string notes;
  std::vector<std::pair<std::string, std::string>> of_subsets;
  size_t num_rows = 0;
  for (const auto& measured : result.measurements) {
    if (!measured.note.empty()) notes += text(measured.key(), ": ", measured.note, "\n");
    if (detail::subset_number(measured.key())) {
      of_subsets.emplace_back(measured.key(), with_its_error(measured));
      continue;
    }
    ++num_rows;
    table.row({measured.key(), shown(measured, measured.value),
               measured.standard_error ? shown(measured, *measured.standard_error) : ""});
  }
  std::string whole;
  if (num_rows > 0) whole = ended(table.str());
  for (const auto& one : detail::subset_tables(of_subsets)) whole += (whole.empty() ? "" : "\n") + table_text(one);
  return whole + (of_subsets.empty() || notes.empty() ? "" : "\n") + notes;
}

std::string_view split_name(Split split) {
  for (const auto& [name, value] : enum_names(Split{})) {
    if (value == split) return name;
  }
  throw UsageError("an unknown split");
}

}  // namespace elbo
