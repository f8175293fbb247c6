#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace elbo {

/// The value, or why the text isn't one (possibly nothing to add).
template <class T>
struct Parsed {
  std::optional<T> value = {};
  std::string hint = {};
};

/// Decimal and finite: -3, 0.5, .5, 1e-3. Refused: leading zeros, hexadecimal, octal, underscores, nan, inf, overflow. -0 is 0.
Parsed<double> parse_number(std::string_view written);

/// The same without a point; with an exponent where the value is whole: 1e3, 1.5e3.
Parsed<int64_t> parse_integer(std::string_view written);

/// Would an unquoted scalar like this be taken for a number, true, false or null by some YAML reader? Texts like that are dumped
/// quoted.
bool looks_special(std::string_view written);

}  // namespace elbo
