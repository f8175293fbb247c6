#include "elbo/evaluation/report.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <optional>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "report_parts.h"

namespace elbo {
namespace {

using detail::escaped;
using detail::six_digits;
using Runs = std::vector<RunReport>;

// ---- headline ----

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

/// log_likelihood_nats -> "log likelihood (nats)".
std::string readable(std::string key) {
  static constexpr std::array kUnits = {std::pair{"_nats", "nats"}, std::pair{"_bits_per_dim", "bits/dim"},
                                        std::pair{"_db", "dB"}};
  std::string unit;
  for (const auto& [ending, name] : kUnits) {
    if (!key.ends_with(ending)) continue;
    key.resize(key.size() - std::string_view(ending).size());
    unit = text(" (", name, ")");
  }
  std::replace(key.begin(), key.end(), '_', ' ');
  return key + unit;
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
        if (!value.is_number() || key.find("_standard_error") != std::string::npos) continue;
        auto small = split;
        if (key.starts_with("log_likelihood") || key == "effective_sample_size")
          small += text(", K = ", with_commas(json.value("samples", int64_t{1})));
        auto& cell = row(readable(key), small, key).cells[r];
        cell = Cell{.value = value.get<double>()};
        if (const auto error = metrics.find(error_key(key)); error != metrics.end() && error->is_number())
          cell->error = error->get<double>();
      }
    }
  }

  /// log_likelihood_nats -> log_likelihood_standard_error_nats: by the unit at the end, if there is one.
  static std::string error_key(const std::string& key) {
    for (const std::string unit : {"_nats", "_bits_per_dim", "_db"}) {
      if (key.ends_with(unit)) return key.substr(0, key.size() - unit.size()) + "_standard_error" + unit;
    }
    return key + "_standard_error";
  }

  void add_validation(const RunReport& run, size_t r) {
    for (const auto& series : run.log.series) {
      if (series.split != "valid" || series.points.empty() || !std::isfinite(series.points.back().value)) continue;
      row(readable(series.name), "valid, newest", series.name).cells[r] = Cell{.value = series.points.back().value};
    }
  }

  size_t num_runs_;
  std::vector<Headline> rows_ = {};
};

std::string shown(const Cell& cell) {
  return cell.error ? text(six_digits(cell.value), " <small>± ", six_digits(std::stod(six_digits(*cell.error))), "</small>")
                    : six_digits(cell.value);
}

std::string headline_cards(const std::vector<Headline>& rows, const RunReport& run) {
  std::string html = "<dl class=\"cards\">";
  const auto card = [&](const std::string& label, const std::string& value, const std::string& small) {
    html += text("<div><dt>", escaped(label), "</dt><dd>", value, "<small>", small, "</small></dd></div>");
  };
  for (const auto& row : rows) {
    if (!row.cells[0]) continue;
    const auto& cell = *row.cells[0];
    card(row.label, six_digits(cell.value),
         escaped(row.small) + (cell.error ? text(", ± ", six_digits(*cell.error)) : std::string()));
  }
  for (const auto& [name, value] : run.facts) {
    if (name == "parameters") card("parameters", escaped(value), "of the model");
  }
  return html + "</dl>";
}

std::string run_headers(const Runs& runs, const char* css) {
  std::string html;
  for (const auto& run : runs) html += text("<th scope=\"col\"", css, ">", escaped(run.title), "</th>");
  return html;
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
      html += text("<td class=\"num", is_best ? " best" : "", "\">", cell ? shown(*cell) : "–", "</td>");
    }
    html += "</tr>";
  }
  return html + "</tbody></table></div>";
}

// ---- curves ----

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

std::string unit_of(const std::string& name) {
  if (name == "bound" || name == "elbo" || name == "reconstruction" || name == "kl" || name == "log_likelihood") return "nats";
  return "";
}

std::string charts(const Runs& runs, const std::vector<std::string>& names) {
  std::string html = "<div class=\"charts\">";
  for (const auto& name : names) {
    detail::Chart chart{.title = readable(name), .unit = unit_of(name), .one_run = runs.size() == 1};
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
                 chart.unit.empty() ? "" : "</span>", "</figcaption>", detail::chart_svg(chart), "</figure>");
  }
  return html + "</div>";
}

std::string legend(const Runs& runs) {
  std::string html = "<ul class=\"legend\">";
  if (runs.size() == 1) {
    html += text("<li>", detail::line_sign(0, false), "training</li><li>", detail::line_sign(1, true), "validation</li>");
  } else {
    for (size_t r = 0; r < runs.size(); ++r) html += text("<li>", detail::line_sign(r, true), escaped(runs[r].title), "</li>");
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

// ---- units ----

std::string units_table(const LoggedUnits& units) {
  std::string html =
      text("<details><summary>Numbers</summary><div class=\"scroll\"><table><thead><tr><th scope=\"col\" class=\"num\">unit</th>",
           units.kl.empty() ? "" : "<th scope=\"col\" class=\"num\">KL (nats)</th>",
           "<th scope=\"col\" class=\"num\">variance of means</th></tr></thead><tbody>");
  const auto order = detail::order_of(units);
  for (size_t i = 0; i < std::min<size_t>(order.size(), 256); ++i) {
    const auto unit = order[i];
    html += text("<tr><th scope=\"row\" class=\"num\">", unit, "</th>",
                 units.kl.empty() ? "" : text("<td class=\"num\">", six_digits(units.kl[unit]), "</td>"), "<td class=\"num\">",
                 six_digits(units.variance_of_means[unit]), "</td></tr>");
  }
  return html + "</tbody></table></div></details>";
}

std::string units_section(const Runs& runs) {
  std::string panels;
  for (size_t r = 0; r < runs.size(); ++r) {
    for (const auto& units : runs[r].log.units) {
      if (units.variance_of_means.empty()) continue;
      panels += text("<figure class=\"panel\"><figcaption>", runs.size() > 1 ? escaped(runs[r].title) + ", " : "",
                     escaped(units.layer), ": ", detail::num_active(units), " of ", units.variance_of_means.size(),
                     " units active <span>step ", with_commas(runs[r].log.units_step), "</span></figcaption>",
                     detail::units_svg(units, r), units_table(units), "</figure>");
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

// ---- pictures ----

std::string image(const ReportPicture& picture) {
  const auto size = detail::png_size(picture.png);
  return text("<img src=\"data:image/png;base64,", detail::base64(picture.png), "\" width=\"", size.width, "\" height=\"",
              size.height, "\" alt=\"", escaped(picture.alt), "\">");
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

// ---- evaluations ----

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

std::string evaluations_section(const Runs& runs) {
  std::string tables;
  for (const auto& run : runs) {
    for (const auto& evaluation : run.evaluations) {
      tables += text(
          "<div class=\"scroll\"><table><caption>", evaluation_caption(run, evaluation, runs.size() > 1),
          "</caption><thead><tr><th scope=\"col\">number</th><th scope=\"col\" class=\"num\">value</th></tr></thead><tbody>");
      for (const auto& [key, value] : evaluation.json["metrics"].items()) {
        if (!value.is_number()) continue;
        std::string note;
        if (evaluation.json.contains("notes") && evaluation.json["notes"].is_object() && evaluation.json["notes"].contains(key) &&
            evaluation.json["notes"][key].is_string()) {
          note = text("<br><span class=\"soft\">", escaped(evaluation.json["notes"][key].get<std::string>()), "</span>");
        }
        tables += text("<tr><th scope=\"row\"><code>", escaped(key), "</code>", note, "</th><td class=\"num\">",
                       six_digits(value.get<double>()), "</td></tr>");
      }
      tables += "</tbody></table></div>";
    }
  }
  return tables.empty() ? "" : text("<section><h2 id=\"evaluations\">Evaluations</h2>", tables, "</section>");
}

// ---- tables of names and values, a column a run ----

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
      html += text("<li>", detail::line_sign(r, true), "<span><strong>", escaped(runs[r].title),
                   "</strong> <span class=\"soft\">", escaped(runs[r].status + " · " + runs[r].folder), "</span></span></li>");
    }
    html += "</ul>";
  }
  static constexpr std::array kSections = {std::pair{"curves", "Curves"},         std::pair{"units", "Units"},
                                           std::pair{"samples", "Samples"},       std::pair{"reconstructions", "Reconstructions"},
                                           std::pair{"traversals", "Traversals"}, std::pair{"evaluations", "Evaluations"},
                                           std::pair{"config", "Config"},         std::pair{"environment", "Environment"}};
  html += "<nav aria-label=\"Sections\">";
  for (const auto& [id, name] : kSections) {
    if (body.find(text("<h2 id=\"", id, "\"")) != std::string::npos) html += text("<a href=\"#", id, "\">", name, "</a>");
  }
  return html + "</nav></header>";
}

}  // namespace

std::string report_html(const std::vector<RunReport>& runs, const std::string& written) {
  if (runs.empty()) throw UsageError("a report needs at least one run");
  const Headlines headlines(runs);
  std::string body = remarks_of(runs);
  if (!headlines.rows().empty()) {
    body +=
        text("<section aria-label=\"Headline numbers\">",
             runs.size() == 1 ? headline_cards(headlines.rows(), runs[0]) : headline_table(headlines.rows(), runs), "</section>");
  }
  body += curves_section(runs) + units_section(runs) + pictures_section(runs) + evaluations_section(runs) + config_section(runs);
  auto environment = side_by_side(runs, &RunReport::facts);
  for (auto& row : side_by_side(runs, &RunReport::environment)) environment.push_back(std::move(row));
  body += text("<section><h2 id=\"environment\">Model and environment</h2>", rows_table(runs, environment, ""), "</section>");
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
