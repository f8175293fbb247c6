#include "elbo/config/scalar.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace elbo {

namespace {

constexpr size_t kLongestNumber = 400;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// [sign] whole [. fraction] [e exponent], as the core schema of YAML 1.2 writes decimals.
struct Decimal {
  bool negative = false;
  std::string_view whole = {};
  std::string_view fraction = {};
  bool has_point = false;
  std::string_view exponent = {};  // with its sign
};

std::string_view take_digits(std::string_view& rest) {
  const auto end = static_cast<size_t>(std::find_if_not(rest.begin(), rest.end(), is_digit) - rest.begin());
  const auto digits = rest.substr(0, end);
  rest.remove_prefix(end);
  return digits;
}

std::optional<Decimal> parse_decimal(std::string_view rest) {
  Decimal number;
  if (!rest.empty() && (rest[0] == '-' || rest[0] == '+')) {
    number.negative = rest[0] == '-';
    rest.remove_prefix(1);
  }
  number.whole = take_digits(rest);
  if (!rest.empty() && rest[0] == '.') {
    number.has_point = true;
    rest.remove_prefix(1);
    number.fraction = take_digits(rest);
  }
  if (number.whole.empty() && number.fraction.empty()) return std::nullopt;
  if (!rest.empty() && (rest[0] == 'e' || rest[0] == 'E')) {
    const auto whole_exponent = rest.substr(1);
    rest = whole_exponent;
    if (!rest.empty() && (rest[0] == '-' || rest[0] == '+')) rest.remove_prefix(1);
    if (take_digits(rest).empty()) return std::nullopt;
    number.exponent = whole_exponent.substr(0, whole_exponent.size() - rest.size());
  }
  if (!rest.empty()) return std::nullopt;
  return number;
}

std::string lower(std::string_view raw) {
  std::string out(raw);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

std::string unsigned_lower(std::string_view raw) {
  std::string word = lower(raw);
  if (!word.empty() && (word[0] == '-' || word[0] == '+')) word.erase(0, 1);
  return word;
}

bool is_not_finite(const std::string& word) {
  constexpr std::array<std::string_view, 5> kWords = {".nan", "nan", ".inf", "inf", "infinity"};
  return std::find(kWords.begin(), kWords.end(), word) != kWords.end();
}

/// What is wrong with something that resembles a number.
std::string hint_for(std::string_view written) {
  const std::string word = unsigned_lower(written);
  if (is_not_finite(word)) return "it must be finite";
  if (word.starts_with("0x") || word.starts_with("0o") || word.starts_with("0b")) return "numbers are decimal here";
  if (word.find('_') != std::string::npos && is_digit(word.empty() ? 'x' : word[0])) return "leave out the underscores";
  if (word.find(',') != std::string::npos && is_digit(word.empty() ? 'x' : word[0])) return "leave out the commas";
  return "";
}

bool has_leading_zero(const Decimal& number) { return number.whole.size() > 1 && number.whole[0] == '0'; }
constexpr const char* kLeadingZero = "leading zeros are refused, since some readers take them for octal";

/// std::from_chars takes no '+', neither in front nor ... in front of an exponent it does.
std::string_view without_plus(std::string_view written) {
  return !written.empty() && written[0] == '+' ? written.substr(1) : written;
}

}  // namespace

Parsed<double> parse_number(std::string_view written) {
  if (written.size() > kLongestNumber) return {{}, "it is too long for a number"};
  const auto decimal = parse_decimal(written);
  if (!decimal) return {{}, hint_for(written)};
  if (has_leading_zero(*decimal)) return {{}, kLeadingZero};
  const auto digits = without_plus(written);
  double value = 0;
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (result.ec != std::errc{} || result.ptr != digits.data() + digits.size() || !std::isfinite(value)) {
    return {{}, "it is beyond the range of a double"};
  }
  return {value == 0 ? 0.0 : value, ""};
}

Parsed<int64_t> parse_integer(std::string_view written) {
  if (written.size() > kLongestNumber) return {{}, "it is too long for a number"};
  const auto decimal = parse_decimal(written);
  if (!decimal) return {{}, hint_for(written)};
  if (has_leading_zero(*decimal)) return {{}, kLeadingZero};
  if (decimal->has_point && decimal->exponent.empty()) return {{}, ""};
  const std::string too_large = "it is beyond the range of a 64-bit integer";
  int64_t exponent = 0;
  if (!decimal->exponent.empty()) {
    const auto digits = without_plus(decimal->exponent);
    if (std::from_chars(digits.data(), digits.data() + digits.size(), exponent).ec != std::errc{}) exponent = 1 << 20;
  }
  std::string digits = std::string(decimal->whole) + std::string(decimal->fraction);
  exponent -= static_cast<int64_t>(decimal->fraction.size());
  while (exponent < 0 && digits.size() > 1 && digits.back() == '0') {
    digits.pop_back();
    ++exponent;
  }
  digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size() - 1));
  if (digits == "0") return {0, ""};
  if (exponent < 0) return {{}, ""};
  if (exponent > 18) return {{}, too_large};
  digits.append(static_cast<size_t>(exponent), '0');
  if (decimal->negative) digits.insert(0, "-");
  int64_t value = 0;
  if (std::from_chars(digits.data(), digits.data() + digits.size(), value).ec != std::errc{}) return {{}, too_large};
  return {value, ""};
}

bool looks_special(std::string_view written) {
  constexpr std::array<std::string_view, 11> kWords = {"", "~", "null", "true", "false", "yes", "no", "on", "off", "y", "n"};
  const std::string word = lower(written);
  if (std::find(kWords.begin(), kWords.end(), word) != kWords.end()) return true;
  const std::string bare = unsigned_lower(written);
  return is_not_finite(bare) || (!bare.empty() && (is_digit(bare[0]) || bare[0] == '.') &&
                                 bare.find_first_not_of("0123456789.eE+-_xoabcdf:") == std::string::npos);
}

}  // namespace elbo
