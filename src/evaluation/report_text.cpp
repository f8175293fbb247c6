#include <cmath>
#include <cstdio>

#include "elbo/base/text.h"
#include "report_parts.h"

namespace elbo::detail {
namespace {

/// Bytes of the well-formed UTF-8 character that starts the text; 0 where none does.
size_t character_bytes(std::string_view rest) {
  for (size_t n = 1; n <= 4 && n <= rest.size(); ++n) {
    if (!find_invalid_utf8(rest.substr(0, n))) return n;
  }
  return 0;
}

std::string without_padded_exponent(std::string number) {
  const auto e = number.find('e');
  if (e == std::string::npos) return number;
  auto digits = number.substr(e + 1);
  const bool negative = digits.front() == '-';
  digits.erase(0, digits.find_first_not_of("+-0"));
  return number.substr(0, e + 1) + (negative ? "-" : "") + digits;
}

std::string significant(double value, int digits) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, "%.*g", digits, value);
  return without_padded_exponent(buffer);
}

}  // namespace

std::string escaped(std::string_view raw) {
  std::string safe;
  safe.reserve(raw.size());
  while (!raw.empty()) {
    const auto bytes = character_bytes(raw);
    const auto first = raw.front();
    if (bytes == 0 || (static_cast<unsigned char>(first) < 0x20 && first != '\n' && first != '\t') || first == 0x7f) {
      safe += "\xEF\xBF\xBD";
    } else if (first == '&') {
      safe += "&amp;";
    } else if (first == '<') {
      safe += "&lt;";
    } else if (first == '>') {
      safe += "&gt;";
    } else if (first == '"') {
      safe += "&quot;";
    } else if (first == '\'') {
      safe += "&#39;";
    } else {
      safe += raw.substr(0, bytes);
    }
    raw.remove_prefix(bytes == 0 ? 1 : bytes);
  }
  return safe;
}

std::string base64(std::string_view bytes) {
  static constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const auto at = [&](size_t k) -> uint32_t { return i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0; };
    const uint32_t three = at(0) << 16 | at(1) << 8 | at(2);
    for (size_t k = 0; k < 4; ++k) {
      out += i + k <= bytes.size() ? kDigits[three >> (18 - 6 * k) & 63] : '=';
    }
  }
  return out;
}

PngSize png_size(std::string_view png) {
  if (png.size() < 33 || png.substr(0, 8) != "\x89PNG\r\n\x1a\n" || png.substr(12, 4) != "IHDR") return {};
  const auto number = [&](size_t at) {
    uint32_t value = 0;
    for (size_t i = at; i < at + 4; ++i) value = value << 8 | static_cast<unsigned char>(png[i]);
    return value;
  };
  return {number(16), number(20)};
}

std::string six_digits(double value) {
  if (!std::isfinite(value)) return "not finite";
  if (value == std::floor(value) && std::abs(value) >= 1e6 && std::abs(value) < 1e15)
    return with_commas(static_cast<int64_t>(value));
  return significant(value, 6);
}

std::string axis_number(double value) {
  if (std::abs(value) >= 1e6 && std::abs(value) < 1e9) return significant(value / 1e6, 4) + "M";
  if (std::abs(value) >= 1e4 && std::abs(value) < 1e6) return significant(value / 1e3, 4) + "k";
  return significant(value, 5);
}

}  // namespace elbo::detail
