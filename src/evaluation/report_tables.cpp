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

struct Row {
  std::string name = {};
  std::vector<std::string> values = {};
  bool differs() const {
    return std::any_of(values.begin(), values.end(), [&](const auto& value) { return value != values.front(); });
  }
};

std::vector<Row> side_by_side(const Runs& runs, const RunReport::Rows RunReport::*which) {
  std::vector<Row> rows;
  for (size_t r = 0; r < runs.size(); ++r) {
    size_t after = 0;  // a row that only later runs have goes where they have it
    for (const auto& [name, value] : runs[r].*which) {
      auto found = std::find_if(rows.begin(), rows.end(), [&, &wanted = name](const auto& row) { return row.name == wanted; });
      if (found == rows.end()) {
        found =
            rows.insert(rows.begin() + static_cast<std::ptrdiff_t>(after), {name, std::vector<std::string>(runs.size(), "–")});
      }
      found->values[r] = value;
      after = static_cast<size_t>(found - rows.begin()) + 1;
    }
  }
  return rows;
}

std::string rows_table(const Runs& runs, const std::vector<Row>& rows, const std::string& caption) {
  std::string html =
      text("<div class=\"scroll code\"><table>", caption.empty() ? "" : text("<caption>", escaped(caption), "</caption>"),
           "<thead><tr><th scope=\"col\">name</th>", runs.size() > 1 ? run_headers(runs, "") : "<th scope=\"col\">value</th>",
           "</tr></thead><tbody>");
  for (const auto& row : rows) {
    html += text("<tr", row.differs() ? " class=\"diff\"" : "", "><th scope=\"row\">", row.differs() ? "≠ " : "",
                 escaped(row.name), "</th>");
    for (const auto& value : row.values) html += text("<td>", escaped(value), "</td>");
    html += "</tr>";
  }
  return html + "</tbody></table></div>";
}

}  // namespace

std::string config_section(const Runs& runs) {
  const auto rows = side_by_side(runs, &RunReport::config);
  std::string html = "<section><h2 id=\"config\">Config</h2>";
  if (rows.empty()) return html + "<p class=\"soft\">There is none to read.</p></section>";
  if (runs.size() > 1) {
    std::vector<Row> different;
    std::copy_if(rows.begin(), rows.end(), std::back_inserter(different), [](const Row& row) { return row.differs(); });
    html += different.empty()
                ? "<p>All runs have the same config.</p>"
                : rows_table(runs, different, count_of(static_cast<int64_t>(different.size()), "key") + " that differ");
  }
  return text(html, "<details", runs.size() == 1 ? " open" : "", "><summary>The whole config</summary>",
              rows_table(runs, rows, ""), "</details></section>");
}
std::string environment_section(const Runs& runs) {
  auto rows = side_by_side(runs, &RunReport::facts);
  for (auto& row : side_by_side(runs, &RunReport::environment)) rows.push_back(std::move(row));
  return text("<section><h2 id=\"environment\">Model and environment</h2>", rows_table(runs, rows, ""), "</section>");
}

}  // namespace elbo::detail
