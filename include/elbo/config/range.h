#pragma once
#include <cstdint>
#include <limits>
#include <optional>
#include <string>

namespace elbo {

/// The numbers a field takes. For lists, maps and optionals it holds for each value; for a Choice, see in_outer_range.
struct Range {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool open_low = false;
  bool open_high = false;

  bool contains(double value) const;
  /// ">= 1", "> 0", "in [0, 1)"; empty for any().
  std::string str() const;

  /// Narrower: at_least(0).below(1).
  constexpr Range at_most(double x) const { return {low, x, open_low, false}; }
  constexpr Range below(double x) const { return {low, x, open_low, true}; }
};

constexpr Range any() { return {}; }
constexpr Range at_least(double x) { return {.low = x}; }
constexpr Range more_than(double x) { return {.low = x, .open_low = true}; }
constexpr Range at_most(double x) { return {.high = x}; }
constexpr Range below(double x) { return {.high = x, .open_high = true}; }
constexpr Range between(double a, double b) { return {.low = a, .high = b}; }

/// "must be > 0, got -1", or nothing when the value is in the range.
std::optional<std::string> range_problem(const Range& range, double value, const std::string& as_written);

/// How many items a list or map, or characters a text, may have.
struct Length {
  int64_t low = 0;
  int64_t high = std::numeric_limits<int64_t>::max();

  bool contains(int64_t length) const { return length >= low && length <= high; }
  /// "at least 1", "exactly 2", "at most 4", "1 to 3".
  std::string str() const;
};

constexpr Length length_at_least(int64_t n) { return {.low = n}; }
constexpr Length length_exactly(int64_t n) { return {.low = n, .high = n}; }
constexpr Length length_between(int64_t a, int64_t b) { return {.low = a, .high = b}; }
inline constexpr Length non_empty = {.low = 1};

struct Required {};
/// The file must give this field.
inline constexpr Required required = {};

struct InOuterRange {};
/// This field of a component obeys the range that the field choosing the component states: `field("beta", beta, "…",
/// at_least(0))` on a Choice of schedules refuses {type: linear, from: -1}, since schedules mark `from` so.
inline constexpr InOuterRange in_outer_range = {};

/// Everything a field's list of rules may say.
struct Rules {
  std::optional<Range> range = {};
  std::optional<Length> length = {};
  bool required = false;
  bool in_outer_range = false;

  void add(const Range& r) { range = r; }
  void add(const Length& l) { length = l; }
  void add(Required) { required = true; }
  void add(InOuterRange) { in_outer_range = true; }
};

template <class... R>
Rules rules_of(const R&... rules) {
  Rules all;
  (all.add(rules), ...);
  return all;
}

}  // namespace elbo
