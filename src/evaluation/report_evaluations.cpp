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

}  // namespace

std::string evaluations_section(const Runs& runs) {
  std::string tables;
  for (const auto& run : runs) {
    for (const auto& evaluation : run.evaluations) {
      tables += text(
          "<div class=\"scroll\"><table><caption>", evaluation_caption(run, evaluation, runs.size() > 1),
          "</caption><thead><tr><th scope=\"col\">number</th><th scope=\"col\" class=\"num\">value</th></tr></thead><tbody>");
      for (const auto& [key, value] : evaluation.json["metrics"].items()) {
        if (!value.is_number() || key.find("_standard_error") != std::string::npos) continue;
        std::string note;
        if (evaluation.json.contains("notes") && evaluation.json["notes"].is_object() && evaluation.json["notes"].contains(key) &&
            evaluation.json["notes"][key].is_string()) {
          note = text("<br><span class=\"soft\">", escaped(evaluation.json["notes"][key].get<std::string>()), "</span>");
        }
        tables += text("<tr><th scope=\"row\"><code>", escaped(key), "</code>", note, "</th><td class=\"num\">",
                       with_error(value.get<double>(), standard_error(evaluation.json["metrics"], key)), "</td></tr>");
      }
      tables += "</tbody></table></div>";
    }
  }
  return tables.empty() ? "" : text("<section><h2 id=\"evaluations\">Evaluations</h2>", tables, "</section>");
}

}  // namespace elbo::detail
