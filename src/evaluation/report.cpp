#include "elbo/evaluation/report.h"

#include <array>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "report_parts.h"
#include "report_sections.h"

namespace elbo {
namespace detail {
namespace {

std::string remarks_of(const Runs& runs) {
  std::string items;
  for (const auto& run : runs) {
    const auto prefix = runs.size() > 1 ? run.title + ": " : std::string();
    for (const auto* list : {&run.remarks, &run.log.problems}) {
      for (const auto& remark : *list) items += text("<li>", escaped(prefix + remark), "</li>");
    }
  }
  return items.empty() ? "" : text("<aside class=\"remarks\"><strong>Missing or broken</strong><ul>", items, "</ul></aside>");
}

std::string header_of(const Runs& runs, const std::string& body) {
  const auto title = runs.size() == 1 ? runs[0].title : count_of(static_cast<int64_t>(runs.size()), "run") + " side by side";
  std::string html = text("<header><p class=\"over\">elbo report</p><h1>", escaped(title), "</h1>");
  if (runs.size() == 1) {
    html += text("<p class=\"soft\">", escaped(join(std::vector<std::string>{runs[0].status, runs[0].folder}, " · ")), "</p>");
  } else {
    html += "<ul class=\"runs\">";
    for (size_t r = 0; r < runs.size(); ++r) {
      html += text("<li>", line_sign(r, true), "<span><strong>", escaped(runs[r].title), "</strong> <span class=\"soft\">",
                   escaped(runs[r].status + " · " + runs[r].folder), "</span></span></li>");
    }
    html += "</ul>";
  }
  static constexpr std::array kSections = {std::pair{"curves", "Curves"},
                                           std::pair{"units", "Units"},
                                           std::pair{"codes", "Codes"},
                                           std::pair{"samples", "Samples"},
                                           std::pair{"reconstructions", "Reconstructions"},
                                           std::pair{"cross_generation", "Cross-generation"},
                                           std::pair{"traversals", "Traversals"},
                                           std::pair{"evaluations", "Evaluations"},
                                           std::pair{"config", "Config"},
                                           std::pair{"environment", "Environment"}};
  html += "<nav aria-label=\"Sections\">";
  for (const auto& [id, name] : kSections) {
    if (body.find(text("<h2 id=\"", id, "\"")) != std::string::npos) html += text("<a href=\"#", id, "\">", name, "</a>");
  }
  return html + "</nav></header>";
}

}  // namespace
}  // namespace detail

std::string report_html(const std::vector<RunReport>& runs, const std::string& written) {
  using namespace detail;
  if (runs.empty()) throw UsageError("a report needs at least one run");
  const auto body = remarks_of(runs) + headline_section(runs) + curves_section(runs) + units_section(runs) + codes_section(runs) +
                    pictures_section(runs) + evaluations_section(runs) + config_section(runs) + environment_section(runs);
  std::vector<std::string> titles;
  for (const auto& run : runs) titles.push_back(run.title);
  return text(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, "
      "initial-scale=1\"><title>",
      escaped(join(titles, ", ")), " – elbo report</title><style>", detail::report_style(), "</style></head><body",
      runs.size() > 1 ? " class=\"many\"" : "", ">", header_of(runs, body), "<main>", body, "</main><footer>", escaped(written),
      "</footer></body></html>\n");
}

}  // namespace elbo
