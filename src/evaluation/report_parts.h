#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "elbo/evaluation/run_log.h"

// Pieces of report_html: text, numbers and pictures in SVG.

namespace elbo::detail {

/// For text and for attributes in double quotes; control characters and bytes that aren't UTF-8 become U+FFFD.
std::string escaped(std::string_view raw);
std::string base64(std::string_view bytes);
/// Width and height of a PNG file, by its header; 0 x 0 for anything else.
struct PngSize {
  uint32_t width = 0;
  uint32_t height = 0;
};
PngSize png_size(std::string_view png);

/// Six significant digits: "-239.778", "0.0001", "1.2e-5"; NaN is "not finite".
std::string six_digits(double value);
/// As many digits as an axis needs, "12k" for thousands of steps.
std::string axis_number(double value);

/// A line of a chart. `run` decides colour and marker.
struct ChartLine {
  size_t run = 0;
  std::string label = {};  // "digits/vae, valid"
  bool is_valid = false;   // marked points, a thicker line
  const LoggedSeries* series = nullptr;
};
struct Chart {
  std::string title = {};
  std::string unit = {};
  bool one_run = false;  // train and valid then have colours of their own
  std::vector<ChartLine> lines = {};
};
/// An <svg> with a text alternative. Steps on the x axis.
std::string chart_svg(const Chart& chart);

/// The sign of a line in the legend: an <svg>.
std::string line_sign(size_t colour, bool is_valid);

/// Bars of a layer's units by falling KL (or variance), those above the activity threshold filled. `run`: colour.
std::string units_svg(const LoggedUnits& units, size_t run);
/// Counts of a codebook's most used codes, with a line where they would be if all were used alike. `run`: colour.
std::string counts_svg(const LoggedCodebook& codebook, size_t run);
/// Places of the units by falling KL, or variance where there is none.
std::vector<size_t> order_of(const LoggedUnits& units);
int64_t num_active(const LoggedUnits& units);

/// The page's style sheet.
std::string_view report_style();

}  // namespace elbo::detail
