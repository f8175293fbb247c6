#include "elbo/config/range.h"

#include <cmath>

#include "elbo/base/text.h"

namespace elbo {

bool Range::contains(double value) const {
  const bool above = open_low ? value > low : value >= low;
  const bool under = open_high ? value < high : value <= high;
  return above && under;
}

std::string Range::str() const {
  const bool has_low = std::isfinite(low);
  const bool has_high = std::isfinite(high);
  if (has_low && has_high) return (open_low ? "in (" : "in [") + shortest(low) + ", " + shortest(high) + (open_high ? ")" : "]");
  if (has_low) return (open_low ? "> " : ">= ") + shortest(low);
  if (has_high) return (open_high ? "< " : "<= ") + shortest(high);
  return "";
}

std::optional<std::string> range_problem(const Range& range, double value, const std::string& as_written) {
  if (range.contains(value)) return std::nullopt;
  return "must be " + range.str() + ", got " + as_written;
}

std::string Length::str() const {
  if (low == high) return "exactly " + std::to_string(low);
  if (high == std::numeric_limits<int64_t>::max()) return "at least " + std::to_string(low);
  if (low <= 0) return "at most " + std::to_string(high);
  return std::to_string(low) + " to " + std::to_string(high);
}

}  // namespace elbo
