#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "elbo/base/text.h"
#include "report_parts.h"
#include "report_sections.h"
#include "subset_tables.h"

namespace elbo::detail {
namespace {

/// One number of one run, with what stands small beside it.
struct Cell {
  double value = 0;
  std::optional<double> error = {};
};

/// A row of the headline: a number that some of the runs have.
struct Headline {
  std::string label = {};
  std::string small = {};  // "valid, step 4,300", "test, K = 1,000"
  std::string name = {};   // of the quantity, to know which direction is better
  std::vector<std::optional<Cell>> cells = {};
};

/// +1 where higher is better, -1 where lower is, 0 where neither can be said.
int better_direction(const std::string& name) {
  const auto has = [&](std::string_view part) { return name.find(part) != std::string::npos; };
  if (has("bits_per_dim") || has("reconstruction")) return -1;
  if (has("bound") || has("elbo") || has("log_likelihood") || has("psnr") || has("ssim")) return 1;
  return 0;
}

class Headlines {
 public:
  explicit Headlines(const Runs& runs) : num_runs_(runs.size()) {
    for (size_t r = 0; r < runs.size(); ++r) add_evaluations(runs[r], r);
    for (size_t r = 0; r < runs.size(); ++r) add_validation(runs[r], r);
  }
  const std::vector<Headline>& rows() const { return rows_; }

 private:
  Headline& row(const std::string& label, const std::string& small, const std::string& name) {
    const auto same = [&](const auto& one) { return one.label == label && one.small == small; };
    const auto found = std::find_if(rows_.begin(), rows_.end(), same);
    if (found != rows_.end()) return *found;
    rows_.push_back({.label = label, .small = small, .name = name, .cells = std::vector<std::optional<Cell>>(num_runs_)});
    return rows_.back();
  }

  void add_evaluations(const RunReport& run, size_t r) {
    for (const auto& evaluation : run.evaluations) {
      const auto& json = evaluation.json;
      const auto& metrics = json["metrics"];
      const auto split = json.value("split", std::string("?"));
      for (const auto& [key, value] : metrics.items()) {
        if (!value.is_number() || key.find("_standard_error") != std::string::npos || subset_number(key)) continue;
        auto small = split;
        if (key.starts_with("log_likelihood") || key == "effective_sample_size")
          small += text(", K = ", with_commas(json.value("samples", int64_t{1})));
        auto& cell = row(readable(key), small, key).cells[r];
        cell = Cell{.value = value.get<double>()};
        cell->error = standard_error(metrics, key);
      }
    }
  }

  void add_validation(const RunReport& run, size_t r) {
    for (const auto& series : run.log.series) {
      if (subset_number(series.name) || series.split != "valid" || series.points.empty() ||
          !std::isfinite(series.points.back().value))
        continue;
      row(readable(unit_of(series.name).empty() ? series.name : series.name + "_nats"), "valid, newest", series.name).cells[r] =
          Cell{.value = series.points.back().value};
    }
  }

  size_t num_runs_;
  std::vector<Headline> rows_ = {};
};

std::string headline_cards(const std::vector<Headline>& rows, const RunReport& run) {
  std::string html = "<dl class=\"cards\">";
  const auto card = [&](const std::string& label, const std::string& value, const std::string& small) {
    html += text("<div><dt>", escaped(label), "</dt><dd>", value, "<small>", small, "</small></dd></div>");
  };
  for (const auto& row : rows) {
    if (!row.cells[0]) continue;
    const auto& cell = *row.cells[0];
    card(row.label, six_digits(cell.value),
         escaped(row.small) + (cell.error ? text(", ±\u00a0", six_digits(*cell.error)) : std::string()));
  }
  for (const auto& [name, value] : run.facts) {
    if (name == "parameters") card("parameters", escaped(value), "of the model");
  }
  return html + "</dl>";
}

std::string headline_table(const std::vector<Headline>& rows, const Runs& runs) {
  std::string html = text(
      "<div class=\"scroll\"><table><caption>The best of each row is bold, where better has a direction. ± is a standard error "
      "over "
      "examples.</caption><thead><tr><th scope=\"col\">number</th>",
      run_headers(runs, " class=\"num\""), "</tr></thead><tbody>");
  for (const auto& row : rows) {
    const int direction = better_direction(row.name);
    std::optional<double> best;
    size_t count = 0;
    for (const auto& cell : row.cells) {
      if (!cell) continue;
      ++count;
      if (!best || direction * cell->value > direction * *best) best = cell->value;
    }
    html += text("<tr><th scope=\"row\">", escaped(row.label), " <small class=\"soft\">", escaped(row.small), "</small></th>");
    for (const auto& cell : row.cells) {
      const bool is_best = cell && direction != 0 && count > 1 && cell->value == *best;
      html += text("<td class=\"num", is_best ? " best" : "", "\">", cell ? with_error(cell->value, cell->error) : "–", "</td>");
    }
    html += "</tr>";
  }
  return html + "</tbody></table></div>";
}

}  // namespace

std::string headline_section(const Runs& runs) {
  const Headlines headlines(runs);
  if (headlines.rows().empty()) return "";
  return text("<section aria-label=\"Headline numbers\">",
              runs.size() == 1 ? headline_cards(headlines.rows(), runs[0]) : headline_table(headlines.rows(), runs),
              "</section>");
}

}  // namespace elbo::detail
