#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "elbo/base/text.h"
#include "report_parts.h"

namespace elbo::detail {
namespace {

constexpr double kWidth = 420, kHeight = 250;
constexpr double kLeft = 58, kRight = 12, kTop = 12, kBottom = 42;
constexpr size_t kMostPoints = 400;
constexpr size_t kMostMarkers = 24;
constexpr size_t kMostBars = 256;
constexpr double kActive = 0.01;  // Burda et al. 2016, section 5.2: kActiveUnitThreshold of active_units.h
constexpr size_t kColours = 8;

std::string fixed(double value) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.1f", value);
  return buffer;
}

struct Extent {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  void add(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  bool empty() const { return low > high; }
  double size() const { return high - low; }
};

/// 1, 2 or 5 times a power of ten.
double nice_step(double range, int at_most) {
  const double rough = range / at_most;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0, 10.0}) {
    if (factor * power >= rough * (1 - 1e-9)) return factor * power;
  }
  return 10 * power;
}

struct Axis {
  double low = 0, high = 1, step = 1;
  double share(double value) const { return (value - low) / (high - low); }
};

Axis axis_over(Extent extent, int ticks) {
  if (extent.empty()) extent = {0, 1};
  if (extent.size() <= 1e-12 * std::max(std::abs(extent.low), 1e-300)) {
    const double around = extent.low == 0 ? 1 : std::abs(extent.low) * 0.1;
    extent = {extent.low - around, extent.high + around};
  }
  const double step = nice_step(extent.size(), ticks);
  return {std::floor(extent.low / step + 1e-9) * step, std::ceil(extent.high / step - 1e-9) * step, step};
}

/// A line of at most kMostPoints: means of neighbours.
std::vector<LoggedSeries::Point> thinned(const std::vector<LoggedSeries::Point>& points) {
  if (points.size() <= kMostPoints) return points;
  std::vector<LoggedSeries::Point> kept;
  for (size_t i = 0; i < kMostPoints; ++i) {
    const auto first = i * points.size() / kMostPoints, end = (i + 1) * points.size() / kMostPoints;
    double sum = 0;
    for (auto k = first; k < end; ++k) sum += points[k].value;
    kept.push_back({points[(first + end - 1) / 2].step, sum / static_cast<double>(end - first)});
  }
  return kept;
}

struct Frame {
  Axis x, y;
  double left(double step) const { return kLeft + x.share(step) * (kWidth - kLeft - kRight); }
  double top(double value) const { return kTop + (1 - y.share(value)) * (kHeight - kTop - kBottom); }
};

/// The range that is worth looking at: the first steps are left out of it where they would take most of the picture.
Extent visible_values(const Chart& chart, double last_step, bool& start_cut) {
  Extent all, late;
  for (const auto& line : chart.lines) {
    for (const auto& point : line.series->points) {
      if (!std::isfinite(point.value)) continue;
      all.add(point.value);
      if (static_cast<double>(point.step) >= 0.1 * last_step) late.add(point.value);
    }
  }
  start_cut = !late.empty() && late.size() > 0 && all.size() > 2.5 * late.size();
  return start_cut ? late : all;
}

std::string marker(size_t colour, double x, double y, const std::string& title) {
  const auto css = text("class=\"m c", colour % kColours, "\"");
  const auto inside = title.empty() ? std::string() : "<title>" + escaped(title) + "</title>";
  switch (colour % 4) {
    case 0:
      return text("<circle ", css, " cx=\"", fixed(x), "\" cy=\"", fixed(y), "\" r=\"3.4\">", inside, "</circle>");
    case 1:
      return text("<rect ", css, " x=\"", fixed(x - 3), "\" y=\"", fixed(y - 3), "\" width=\"6\" height=\"6\">", inside,
                  "</rect>");
    case 2:
      return text("<path ", css, " d=\"M", fixed(x), " ", fixed(y - 4.2), "l4.2 4.2l-4.2 4.2l-4.2 -4.2z\">", inside, "</path>");
    default:
      return text("<path ", css, " d=\"M", fixed(x), " ", fixed(y - 4), "l4 7h-8z\">", inside, "</path>");
  }
}

std::string drawn(const ChartLine& line, size_t colour, const Frame& frame) {
  std::string path, markers;
  bool pen_down = false;
  const auto points = thinned(line.series->points);
  const auto every = (points.size() + kMostMarkers - 1) / kMostMarkers;
  for (size_t i = 0; i < points.size(); ++i) {
    const auto& point = points[i];
    if (!std::isfinite(point.value)) {
      pen_down = false;
      continue;
    }
    const auto x = frame.left(static_cast<double>(point.step)), y = frame.top(point.value);
    path += (pen_down ? "L" : "M") + fixed(x) + " " + fixed(y);
    pen_down = true;
    const bool is_last = i + 1 == points.size();
    if ((line.is_valid && (i % every == 0 || is_last)) || points.size() == 1) {
      markers += marker(colour, x, y, text(line.label, ", step ", with_commas(point.step), ": ", six_digits(point.value)));
    }
  }
  return text("<path class=\"", line.is_valid ? "v" : "t", " c", colour % kColours, "\" d=\"", path, "\"/>", markers);
}

std::string grid_of(const Frame& frame) {
  std::string svg;
  const auto ticks = [](const Axis& axis) { return static_cast<int>(std::lround((axis.high - axis.low) / axis.step)); };
  for (int i = 0; i <= ticks(frame.y); ++i) {
    const double value = frame.y.low + i * frame.y.step, y = frame.top(value);
    const auto shown = std::abs(value) < 1e-9 * frame.y.step ? 0 : value;
    svg += text("<path class=\"g\" d=\"M", fixed(kLeft), " ", fixed(y), "H", fixed(kWidth - kRight), "\"/><text x=\"",
                fixed(kLeft - 7), "\" y=\"", fixed(y + 4), "\" class=\"e\">", axis_number(shown), "</text>");
  }
  for (int i = 0; i <= ticks(frame.x); ++i) {
    const double value = frame.x.low + i * frame.x.step;
    if (value > frame.x.high * (1 + 1e-9)) break;
    svg += text("<text x=\"", fixed(frame.left(value)), "\" y=\"", fixed(kHeight - kBottom + 18), "\" class=\"a\">",
                axis_number(value), "</text>");
  }
  return svg + text("<path class=\"x\" d=\"M", fixed(kLeft), " ", fixed(kHeight - kBottom), "H", fixed(kWidth - kRight), "\"/>");
}

/// "train from -311 to -240, valid from …": what a listener gets.
std::string spoken(const Chart& chart) {
  std::vector<std::string> parts;
  for (const auto& line : chart.lines) {
    const auto& points = line.series->points;
    if (points.empty()) continue;
    parts.push_back(text(line.label, " from ", six_digits(points.front().value), " at step ", with_commas(points.front().step),
                         " to ", six_digits(points.back().value), " at step ", with_commas(points.back().step)));
  }
  return text(chart.title, " over training steps: ", join(parts, "; "));
}

}  // namespace

std::string line_sign(size_t colour, bool is_valid) {
  const auto path = text("<path class=\"", is_valid ? "v" : "t", " c", colour % kColours, "\" d=\"M1 7H27\"/>");
  return text("<svg class=\"sign\" viewBox=\"0 0 28 14\" aria-hidden=\"true\">", path, is_valid ? marker(colour, 14, 7, "") : "",
              "</svg>");
}

std::string chart_svg(const Chart& chart) {
  double last_step = 0;
  for (const auto& line : chart.lines) {
    if (!line.series->points.empty()) last_step = std::max(last_step, static_cast<double>(line.series->points.back().step));
  }
  bool start_cut = false;
  Frame frame;
  frame.y = axis_over(visible_values(chart, last_step, start_cut), 5);
  const double end = std::max(last_step, 1.0);
  frame.x = {0, end, std::max(nice_step(end, 5), 1.0)};
  frame.x.high = end;
  const auto id = text("clip-", std::hash<std::string>{}(chart.title) % 1000003);
  std::string svg = text("<svg viewBox=\"0 0 ", kWidth, " ", kHeight, "\" role=\"img\" aria-label=\"", escaped(spoken(chart)),
                         "\">", grid_of(frame), "<clipPath id=\"", id, "\"><rect x=\"", kLeft - 5, "\" y=\"", kTop - 5,
                         "\" width=\"", kWidth - kLeft - kRight + 10, "\" height=\"", kHeight - kTop - kBottom + 10,
                         "\"/></clipPath><g clip-path=\"url(#", id, ")\">");
  for (const auto& line : chart.lines) {
    if (!line.is_valid) svg += drawn(line, chart.one_run ? 0 : line.run, frame);
  }
  for (const auto& line : chart.lines) {
    if (line.is_valid) svg += drawn(line, chart.one_run ? 1 : line.run, frame);
  }
  svg += "</g>";
  const auto below = kHeight - 6;
  svg += text("<text class=\"n e\" x=\"", kWidth - kRight, "\" y=\"", below, "\">steps</text>");
  if (start_cut) svg += text("<text class=\"n\" x=\"", kLeft, "\" y=\"", below, "\">the first values lie outside</text>");
  return svg + "</svg>";
}

std::vector<size_t> order_of(const LoggedUnits& units) {
  const auto& by = units.kl.empty() ? units.variance_of_means : units.kl;
  std::vector<size_t> order(by.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return by[a] > by[b]; });
  return order;
}

int64_t num_active(const LoggedUnits& units) {
  return std::count_if(units.variance_of_means.begin(), units.variance_of_means.end(), [](double v) { return v > kActive; });
}

std::string units_svg(const LoggedUnits& units, size_t run) {
  const auto order = order_of(units);
  const auto& values = units.kl.empty() ? units.variance_of_means : units.kl;
  const auto count = std::min(order.size(), kMostBars);
  if (count == 0) return "";
  constexpr double kBarsHeight = 180, kFloor = kBarsHeight - 24;
  Frame frame;
  frame.y = axis_over({0, std::max(values[order[0]], 1e-6)}, 4);
  const auto top = [&](double value) { return kTop + (1 - frame.y.share(value)) * (kFloor - kTop); };
  const auto what = units.kl.empty() ? "variance of means" : "KL in nats";
  std::string svg = text("<svg viewBox=\"0 0 ", kWidth, " ", kBarsHeight, "\" role=\"img\" aria-label=\"", escaped(units.layer),
                         ": ", num_active(units), " of ", values.size(), " units active; ", what, " by unit from ",
                         six_digits(values[order[0]]), " down to ", six_digits(values[order.back()]), "\">");
  for (int i = 0; i <= static_cast<int>(std::lround(frame.y.high / frame.y.step)); ++i) {
    const auto value = i * frame.y.step;
    svg += text("<path class=\"g\" d=\"M", fixed(kLeft), " ", fixed(top(value)), "H", fixed(kWidth - kRight),
                "\"/><text class=\"e\" x=\"", fixed(kLeft - 7), "\" y=\"", fixed(top(value) + 4), "\">", axis_number(value),
                "</text>");
  }
  const double slot = (kWidth - kLeft - kRight) / static_cast<double>(count), width = std::min(slot * 0.82, 26.0);
  for (size_t i = 0; i < count; ++i) {
    const auto unit = order[i];
    const auto value = std::clamp(values[unit], 0.0, frame.y.high);
    const bool active = units.variance_of_means[unit] > kActive;
    const double height = std::max(kFloor - top(value), 1.0);
    svg += text("<rect class=\"b ", active ? text("c", run % kColours) : std::string("off"), "\" x=\"",
                fixed(kLeft + (static_cast<double>(i) + 0.5) * slot - width / 2), "\" y=\"", fixed(kFloor - height),
                "\" width=\"", fixed(width), "\" height=\"", fixed(height), "\"><title>unit ", unit, ": ",
                units.kl.empty() ? "" : text("KL ", six_digits(units.kl[unit]), " nats, "), "variance of means ",
                six_digits(units.variance_of_means[unit]), active ? ", active" : ", not active", "</title></rect>");
  }
  return svg + text("<path class=\"x\" d=\"M", fixed(kLeft), " ", fixed(kFloor), "H", fixed(kWidth - kRight),
                    "\"/><text class=\"a\" x=\"", fixed((kLeft + kWidth - kRight) / 2), "\" y=\"", fixed(kBarsHeight - 6), "\">",
                    count < order.size()
                        ? text("the ", count, " largest of ", with_commas(static_cast<int64_t>(order.size())), " units")
                        : text("units by falling ", what),
                    "</text></svg>");
}

std::string counts_svg(const LoggedCodebook& codebook, size_t run) {
  const auto& counts = codebook.largest_counts;
  const auto shown = std::min(counts.size(), kMostBars);
  if (shown == 0) return "";
  constexpr double kBarsHeight = 180, kFloor = kBarsHeight - 24;
  // Codes that nothing used have a place too, as far as there is room.
  const auto possible = codebook.size > 0 ? static_cast<size_t>(codebook.size) : counts.size();
  const auto count = std::min(std::max(possible, shown), kMostBars);
  const double even = static_cast<double>(codebook.tokens) / static_cast<double>(std::max<size_t>(possible, 1));
  Frame frame;
  frame.y = axis_over({0, std::max({counts[0], even, 1e-6})}, 4);
  const auto top = [&](double value) { return kTop + (1 - frame.y.share(value)) * (kFloor - kTop); };
  std::string svg = text("<svg viewBox=\"0 0 ", kWidth, " ", kBarsHeight, "\" role=\"img\" aria-label=\"", escaped(codebook.name),
                         ": tokens of a code, from ", six_digits(counts[0]), " of the most used down; all alike would have ",
                         six_digits(even), "\">");
  for (int i = 0; i <= static_cast<int>(std::lround(frame.y.high / frame.y.step)); ++i) {
    const auto value = i * frame.y.step;
    svg += text("<path class=\"g\" d=\"M", fixed(kLeft), " ", fixed(top(value)), "H", fixed(kWidth - kRight),
                "\"/><text class=\"e\" x=\"", fixed(kLeft - 7), "\" y=\"", fixed(top(value) + 4), "\">", axis_number(value),
                "</text>");
  }
  const double slot = (kWidth - kLeft - kRight) / static_cast<double>(count), width = std::min(slot * 0.82, 26.0);
  for (size_t i = 0; i < shown; ++i) {
    const double height = std::max(kFloor - top(std::clamp(counts[i], 0.0, frame.y.high)), 1.0);
    svg += text("<rect class=\"b c", run % kColours, "\" x=\"", fixed(kLeft + (static_cast<double>(i) + 0.5) * slot - width / 2),
                "\" y=\"", fixed(kFloor - height), "\" width=\"", fixed(width), "\" height=\"", fixed(height), "\"><title>place ",
                i + 1, ": ", six_digits(counts[i]), " tokens</title></rect>");
  }
  svg += text("<path class=\"x\" stroke-dasharray=\"4 3\" d=\"M", fixed(kLeft), " ", fixed(top(even)), "H",
              fixed(kWidth - kRight), "\"><title>all codes alike: ", six_digits(even), " tokens each</title></path>");
  return svg + text("<path class=\"x\" d=\"M", fixed(kLeft), " ", fixed(kFloor), "H", fixed(kWidth - kRight),
                    "\"/><text class=\"a\" x=\"", fixed((kLeft + kWidth - kRight) / 2), "\" y=\"", fixed(kBarsHeight - 6), "\">",
                    count < possible
                        ? text("the ", count, " most used of ", with_commas(static_cast<int64_t>(possible)), " codes")
                        : std::string("codes by falling use"),
                    "</text></svg>");
}

}  // namespace elbo::detail
