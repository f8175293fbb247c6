#include <algorithm>
#include <cmath>
#include <cstdio>

#include "elbo/base/table.h"
#include "elbo/base/text.h"
#include "elbo/experiment/sweep.h"

namespace elbo {
namespace {

std::vector<double> values_of(const SweepTable& table, size_t setting, const std::string& metric) {
  std::vector<double> values;
  for (const auto& run : table.runs) {
    const auto found = run.metrics.find(metric);
    if (run.setting == setting && !run.exit_code && found != run.metrics.end()) values.push_back(found->second);
  }
  return values;
}

struct Count {
  int64_t all = 0;
  int64_t finished = 0;
};
Count count_of_runs(const SweepTable& table, size_t setting) {
  Count count;
  for (const auto& run : table.runs) {
    if (run.setting != setting) continue;
    ++count.all;
    if (!run.exit_code) ++count.finished;
  }
  return count;
}

std::string fixed(double value, int digits) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, "%.*f", digits, value);
  return buffer;
}

/// Two digits of the error decide how many of the mean are shown.
std::string shown(const SweepMean& mean) {
  constexpr int kMost = 6, kUsual = 4;
  if (mean.count == 0) return "";
  const double error = mean.standard_error.value_or(0);
  const int digits = error > 0 ? std::clamp(1 - static_cast<int>(std::floor(std::log10(error))), 0, kMost) : kUsual;
  return fixed(mean.mean, digits) + (mean.standard_error ? " ± " + fixed(error, digits) : "");
}

std::string csv_cell(const std::string& cell) {
  if (cell.find_first_of(",\"\n") == std::string::npos) return cell;
  std::string quoted = "\"";
  for (const char c : cell) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::string csv_line(std::vector<std::string> cells) {
  for (auto& cell : cells) cell = csv_cell(cell);
  return join(cells, ",") + "\n";
}

Json number_or_null(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

}  // namespace

SweepMean mean_of(std::span<const double> values) {
  SweepMean mean{.count = static_cast<int64_t>(values.size())};
  if (values.empty()) return mean;
  const auto n = static_cast<double>(values.size());
  for (const double value : values) mean.mean += value / n;
  if (values.size() == 1) return mean;
  double squares = 0;
  for (const double value : values) squares += (value - mean.mean) * (value - mean.mean);
  mean.standard_error = std::sqrt(squares / (n - 1) / n);
  return mean;
}

std::string SweepTable::text() const {
  std::vector<Table::Column> columns;
  for (const auto& axis : plan.axes) columns.push_back({axis.key, Align::right});
  columns.push_back({"runs", Align::right});
  for (const auto& metric : metrics) columns.push_back({metric, Align::right});
  Table table(std::move(columns));
  const auto settings = plan.settings();
  for (size_t i = 0; i < settings.size(); ++i) {
    auto cells = settings[i].values;
    const auto count = count_of_runs(*this, i);
    cells.push_back(count.finished == count.all ? std::to_string(count.all) : elbo::text(count.finished, " of ", count.all));
    for (const auto& metric : metrics) cells.push_back(shown(mean_of(values_of(*this, i, metric))));
    table.row(std::move(cells));
  }
  auto whole = table.str() + "mean ± standard error over seeds\n";
  for (const auto& run : runs) {
    if (!run.exit_code) continue;
    whole += elbo::text("failed: ", run.folder.string(), ", ", run.failed_in, " ended with ", *run.exit_code,
                        run.reason.empty() ? "" : ": " + run.reason, " (", run.log.string(), ")\n");
  }
  return whole;
}

std::string SweepTable::csv() const {
  std::vector<std::string> head;
  for (const auto& axis : plan.axes) head.push_back(axis.key);
  head.insert(head.end(), {"runs", "failed"});
  for (const auto& metric : metrics) {
    head.push_back(metric + "_mean");
    head.push_back(metric + "_standard_error");
  }
  auto whole = csv_line(head);
  const auto settings = plan.settings();
  for (size_t i = 0; i < settings.size(); ++i) {
    auto cells = settings[i].values;
    const auto count = count_of_runs(*this, i);
    cells.push_back(std::to_string(count.all));
    cells.push_back(std::to_string(count.all - count.finished));
    for (const auto& metric : metrics) {
      const auto mean = mean_of(values_of(*this, i, metric));
      cells.push_back(mean.count > 0 ? shortest(mean.mean) : "");
      cells.push_back(mean.standard_error ? shortest(*mean.standard_error) : "");
    }
    whole += csv_line(std::move(cells));
  }
  return whole;
}

Json SweepTable::json() const {
  Json rows = Json::array();
  const auto settings = plan.settings();
  for (size_t i = 0; i < settings.size(); ++i) {
    Json row = {{"settings", Json::object()}, {"metrics", Json::object()}, {"runs", Json::array()}};
    for (size_t axis = 0; axis < plan.axes.size(); ++axis) row["settings"][plan.axes[axis].key] = settings[i].values[axis];
    for (const auto& metric : metrics) {
      const auto mean = mean_of(values_of(*this, i, metric));
      if (mean.count == 0) continue;
      row["metrics"][metric] = {{"mean", number_or_null(mean.mean)},
                                {"standard_error", mean.standard_error ? number_or_null(*mean.standard_error) : Json(nullptr)},
                                {"count", mean.count}};
    }
    for (const auto& run : runs) {
      if (run.setting != i) continue;
      Json one = {{"seed", run.seed}, {"run", run.folder.string()}, {"finished", !run.exit_code}};
      if (run.exit_code) {
        one["failed_in"] = run.failed_in;
        one["exit_code"] = *run.exit_code;
        one["reason"] = run.reason;
        one["log"] = run.log.string();
      }
      one["metrics"] = Json::object();
      for (const auto& [name, value] : run.metrics) one["metrics"][name] = number_or_null(value);
      row["runs"].push_back(std::move(one));
    }
    rows.push_back(std::move(row));
  }
  return {{"constant", plan.constant}, {"rows", std::move(rows)}};
}

}  // namespace elbo
