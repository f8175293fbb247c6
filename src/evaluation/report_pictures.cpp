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

std::string image(const ReportPicture& picture) {
  const auto size = png_size(picture.png);
  return text("<img src=\"data:image/png;base64,", base64(picture.png), "\" width=\"", size.width, "\" height=\"", size.height,
              "\" alt=\"", escaped(picture.alt), "\">");
}

/// First, last, and up to four between whose steps grow by a like factor.
std::vector<const ReportPicture*> development(const std::vector<ReportPicture>& pictures) {
  std::vector<const ReportPicture*> chosen;
  constexpr size_t kMost = 6;
  const auto n = pictures.size();
  size_t last = n;
  for (size_t i = 0; i < std::min(n, kMost); ++i) {
    const double share = n <= kMost
                             ? static_cast<double>(i)
                             : std::pow(static_cast<double>(n), static_cast<double>(i) / static_cast<double>(kMost - 1)) - 1;
    const auto place = std::min(n - 1, static_cast<size_t>(std::lround(share)));
    if (place != last) chosen.push_back(&pictures[place]);
    last = place;
  }
  return chosen;
}

std::string strip(const std::vector<ReportPicture>& pictures, const std::string& what) {
  if (pictures.size() < 2) return "";
  std::string html = text("<details open><summary>How the ", what, " developed</summary><div class=\"strip\">");
  for (const auto* picture : development(pictures)) {
    html += text("<figure>", image(*picture), "<figcaption>", escaped(picture->title), "</figcaption></figure>");
  }
  return html + "</div></details>";
}

std::string pictures_of(const Runs& runs, const std::vector<ReportPicture> RunReport::*which, const std::string& what) {
  std::string html;
  for (const auto& run : runs) {
    const auto& pictures = run.*which;
    if (pictures.empty()) continue;
    html += text("<div><figure><figcaption>", runs.size() > 1 ? escaped(run.title) + ", " : "", escaped(pictures.back().title),
                 "</figcaption>", image(pictures.back()), "</figure>", strip(pictures, what), "</div>");
  }
  return html.empty() ? "" : text("<div class=\"pictures two\">", html, "</div>");
}

}  // namespace

std::string pictures_section(const Runs& runs) {
  const auto samples = pictures_of(runs, &RunReport::samples, "samples");
  const auto reconstructions = pictures_of(runs, &RunReport::reconstructions, "reconstructions");
  std::string html;
  if (!samples.empty()) html += text("<section><h2 id=\"samples\">Samples</h2>", samples, "</section>");
  if (!reconstructions.empty()) {
    html += text(
        "<section><h2 id=\"reconstructions\">Reconstructions</h2><p class=\"soft\">Rows of validation data, each above its "
        "reconstructions.</p>",
        reconstructions, "</section>");
  }
  const auto crossings = pictures_of(runs, &RunReport::cross_generations, "cross-generation");
  if (!crossings.empty()) {
    html += text(
        "<section><h2 id=\"cross_generation\">Cross-generation</h2><p class=\"soft\">Rows of validation data on the left, "
        "one modality of each; beside it what the model generates from that one alone, a column a modality.</p>",
        crossings, "</section>");
  }
  std::string traversals;
  for (const auto& run : runs) {
    for (const auto& picture : run.traversals) {
      traversals += text("<figure><figcaption>", runs.size() > 1 ? escaped(run.title) + ": " : "", escaped(picture.title),
                         "</figcaption>", image(picture), "</figure>");
    }
  }
  if (!traversals.empty()) {
    html += text(
        "<section><h2 id=\"traversals\">Traversals</h2><p class=\"soft\">One row of the test split is encoded; in each row of "
        "the picture one "
        "unit of its code goes from −3 to 3, the unit of the largest KL first.</p><div class=\"pictures two\">",
        traversals, "</div></section>");
  }
  return html;
}

}  // namespace elbo::detail
