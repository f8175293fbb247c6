#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <optional>

#include "elbo/base/text.h"
#include "report_parts.h"
#include "report_sections.h"
#include "subset_tables.h"

namespace elbo::detail {
namespace {

std::string evaluation_caption(const RunReport& run, const ReportEvaluation& evaluation, bool name_run) {
  const auto& json = evaluation.json;
  std::vector<std::string> parts = {evaluation.file};
  if (name_run) parts.insert(parts.begin(), run.title);
  const auto text_of = [&](const char* key) {
    const auto found = json.find(key);
    return found == json.end() ? std::string() : found->is_string() ? found->get<std::string>() : found->dump();
  };
  if (const auto split = text_of("split"); !split.empty()) parts.push_back(split);
  if (json.contains("num_examples") && json["num_examples"].is_number_integer())
    parts.push_back(count_of(json["num_examples"].get<int64_t>(), "example"));
  if (const auto samples = text_of("samples"); !samples.empty()) parts.push_back("K = " + samples);
  if (const auto checkpoint = text_of("checkpoint"); !checkpoint.empty()) parts.push_back(checkpoint);
  if (const auto seed = text_of("seed"); !seed.empty()) parts.push_back("seed " + seed);
  if (const auto sha = text_of("weights_sha256"); !sha.empty()) parts.push_back("weights " + sha.substr(0, 12));
  return escaped(join(parts, " · "));
}

std::string note_of(const Json& evaluation, const std::string& key) {
  const auto notes = evaluation.find("notes");
  if (notes == evaluation.end() || !notes->is_object() || !notes->contains(key) || !(*notes)[key].is_string()) return "";
  return text("<br><span class=\"soft\">", escaped((*notes)[key].get<std::string>()), "</span>");
}

std::string head_of(const std::string& caption, const std::vector<std::string>& columns) {
  std::string html = text("<div class=\"scroll\"><table><caption>", caption, "</caption><thead><tr>");
  for (const auto& column : columns) {
    html += text("<th scope=\"col\"", &column == &columns.front() ? "" : " class=\"num\"", ">", escaped(column), "</th>");
  }
  return html + "</tr></thead><tbody>";
}

/// A row a subset of the modalities.
std::string subset_tables_html(const Json& metrics, const std::string& caption) {
  std::vector<std::pair<std::string, std::string>> cells;
  for (const auto& [key, value] : metrics.items()) {
    if (!value.is_number() || key.find("_standard_error") != std::string::npos || !subset_number(key)) continue;
    cells.emplace_back(key, with_error(value.get<double>(), standard_error(metrics, key)));
  }
  std::string html;
  for (const auto& table : subset_tables(cells)) {
    std::vector<std::string> columns = {table.quantity.empty() ? "modalities" : "given"};
    for (const auto& column : table.columns) columns.push_back(table.quantity.empty() ? readable(column) : column);
    const auto what = table.quantity.empty() ? std::string("by modalities") : readable(table.quantity) + " of each modality";
    html += head_of(text(caption, " · ", escaped(what)), columns);
    for (const auto& [row, texts] : table.rows) {
      html += text("<tr><th scope=\"row\"><code>", escaped(row), "</code></th>");
      for (const auto& cell : texts) html += text("<td class=\"num\">", cell.empty() ? "–" : cell, "</td>");
      html += "</tr>";
    }
    html += "</tbody></table></div>";
  }
  return html;
}

}  // namespace

std::string evaluations_section(const Runs& runs) {
  std::string tables;
  for (const auto& run : runs) {
    for (const auto& evaluation : run.evaluations) {
      const auto caption = evaluation_caption(run, evaluation, runs.size() > 1);
      const auto& metrics = evaluation.json["metrics"];
      std::string rows;
      for (const auto& [key, value] : metrics.items()) {
        if (!value.is_number() || key.find("_standard_error") != std::string::npos || subset_number(key)) continue;
        rows += text("<tr><th scope=\"row\"><code>", escaped(key), "</code>", note_of(evaluation.json, key),
                     "</th><td class=\"num\">", with_error(value.get<double>(), standard_error(metrics, key)), "</td></tr>");
      }
      if (!rows.empty()) tables += head_of(caption, {"number", "value"}) + rows + "</tbody></table></div>";
      tables += subset_tables_html(metrics, caption);
    }
  }
  return tables.empty() ? "" : text("<section><h2 id=\"evaluations\">Evaluations</h2>", tables, "</section>");
}

}  // namespace elbo::detail
