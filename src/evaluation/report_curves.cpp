#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <optional>

#include "elbo/base/text.h"
#include "report_parts.h"
#include "report_sections.h"

namespace elbo::detail {
namespace {

/// First those that everybody looks at, then the others as they were met.
std::vector<std::string> quantities(const Runs& runs, bool main_ones) {
  static const std::vector<std::string> kMain = {"bound", "reconstruction", "kl", "learning_rate", "gradient_norm"};
  std::vector<std::string> names;
  const auto add = [&](const std::string& name) {
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  };
  const auto is_main = [&](const std::string& name) { return std::find(kMain.begin(), kMain.end(), name) != kMain.end(); };
  for (const auto& name : kMain) {
    for (const auto& run : runs) {
      if (main_ones && (run.log.find("train", name) || run.log.find("valid", name))) add(name);
    }
  }
  for (const auto& run : runs) {
    for (const auto& series : run.log.series) {
      if (!main_ones && !is_main(series.name)) add(series.name);
    }
  }
  return names;
}

std::string charts(const Runs& runs, const std::vector<std::string>& names) {
  std::string html = "<div class=\"charts\">";
  for (const auto& name : names) {
    Chart chart{.title = readable(name), .unit = unit_of(name), .one_run = runs.size() == 1};
    for (size_t r = 0; r < runs.size(); ++r) {
      for (const auto& series : runs[r].log.series) {
        if (series.name != name) continue;
        chart.lines.push_back({.run = r,
                               .label = runs.size() == 1 ? series.split : runs[r].title + ", " + series.split,
                               .is_valid = series.split != "train",
                               .series = &series});
      }
    }
    html += text("<figure class=\"panel\"><figcaption>", escaped(chart.title), chart.unit.empty() ? "" : " <span>", chart.unit,
                 chart.unit.empty() ? "" : "</span>", "</figcaption>", chart_svg(chart), "</figure>");
  }
  return html + "</div>";
}

std::string legend(const Runs& runs) {
  std::string html = "<ul class=\"legend\">";
  if (runs.size() == 1) {
    html += text("<li>", line_sign(0, false), "training</li><li>", line_sign(1, true), "validation</li>");
  } else {
    for (size_t r = 0; r < runs.size(); ++r) html += text("<li>", line_sign(r, true), escaped(runs[r].title), "</li>");
    html += "<li class=\"soft\">dashed: training; solid with marks: validation</li>";
  }
  return html + "</ul>";
}

std::string numbers_by_step(const RunReport& run) {
  std::vector<const LoggedSeries*> columns;
  std::map<int64_t, std::vector<double>> rows;
  for (const auto& series : run.log.series) {
    if (series.split == "valid" && columns.size() < 10) columns.push_back(&series);
  }
  for (size_t c = 0; c < columns.size(); ++c) {
    for (const auto& point : columns[c]->points) {
      auto& row = rows[point.step];
      row.resize(columns.size(), NAN);
      row[c] = point.value;
    }
  }
  if (rows.empty()) return "";
  std::string html = text("<details><summary>Validation numbers of ", escaped(run.title),
                          "</summary><div class=\"scroll\"><table><thead><tr>", "<th scope=\"col\" class=\"num\">step</th>");
  for (const auto* series : columns) html += text("<th scope=\"col\" class=\"num\">", escaped(readable(series->name)), "</th>");
  html += "</tr></thead><tbody>";
  const auto every = (rows.size() + 199) / 200;
  size_t i = 0;
  for (const auto& [step, values] : rows) {
    if (i++ % every != 0 && i != rows.size()) continue;
    html += text("<tr><th scope=\"row\" class=\"num\">", with_commas(step), "</th>");
    for (const double value : values) html += text("<td class=\"num\">", std::isnan(value) ? "–" : six_digits(value), "</td>");
    html += "</tr>";
  }
  return html + "</tbody></table></div></details>";
}

std::string units_table(const LoggedUnits& units) {
  std::string html =
      text("<details><summary>Numbers</summary><div class=\"scroll\"><table><thead><tr><th scope=\"col\" class=\"num\">unit</th>",
           units.kl.empty() ? "" : "<th scope=\"col\" class=\"num\">KL (nats)</th>",
           "<th scope=\"col\" class=\"num\">variance of means</th></tr></thead><tbody>");
  const auto order = order_of(units);
  for (size_t i = 0; i < std::min<size_t>(order.size(), 256); ++i) {
    const auto unit = order[i];
    html += text("<tr><th scope=\"row\" class=\"num\">", unit, "</th>",
                 units.kl.empty() ? "" : text("<td class=\"num\">", six_digits(units.kl[unit]), "</td>"), "<td class=\"num\">",
                 six_digits(units.variance_of_means[unit]), "</td></tr>");
  }
  return html + "</tbody></table></div></details>";
}

}  // namespace

std::string curves_section(const Runs& runs) {
  const auto main_ones = quantities(runs, true), others = quantities(runs, false);
  std::string html = "<section><h2 id=\"curves\">Curves</h2>";
  if (main_ones.empty() && others.empty()) return html + "<p class=\"soft\">Nothing has been logged yet.</p></section>";
  html += legend(runs) + charts(runs, main_ones);
  if (!others.empty()) {
    html += text("<details><summary>", count_of(static_cast<int64_t>(others.size()), "other curve"), "</summary>",
                 charts(runs, others), "</details>");
  }
  for (const auto& run : runs) html += numbers_by_step(run);
  return html + "</section>";
}

std::string units_section(const Runs& runs) {
  std::string panels;
  for (size_t r = 0; r < runs.size(); ++r) {
    for (const auto& units : runs[r].log.units) {
      if (units.variance_of_means.empty()) continue;
      panels +=
          text("<figure class=\"panel\"><figcaption>", runs.size() > 1 ? escaped(runs[r].title) + ", " : "", escaped(units.layer),
               ": ", num_active(units), " of ", units.variance_of_means.size(), " units active <span>step ",
               with_commas(runs[r].log.units_step), "</span></figcaption>", units_svg(units, r), units_table(units), "</figure>");
    }
  }
  if (panels.empty()) return "";
  return text(
      "<section><h2 id=\"units\">What the units carry</h2><p class=\"soft\">Mean KL of each unit on the validation split. A unit "
      "is active "
      "where the variance of its posterior mean over rows exceeds 0.01; the others, in grey, are collapsed onto the "
      "prior.</p><div "
      "class=\"charts\">",
      panels, "</div></section>");
}

}  // namespace elbo::detail
