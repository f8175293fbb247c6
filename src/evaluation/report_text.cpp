#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstdio>

#include "elbo/base/text.h"
#include "report_parts.h"
#include "report_sections.h"

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

/// log_likelihood_nats -> "log likelihood (nats)", psnr_db -> "PSNR (dB)".
std::string readable(std::string key) {
  static constexpr std::array kUnits = {std::pair{"_nats", "nats"}, std::pair{"_bits_per_dim", "bits/dim"},
                                        std::pair{"_db", "dB"}};
  static constexpr std::array<std::string_view, 4> kAcronyms = {"elbo", "kl", "psnr", "ssim"};
  std::string unit;
  for (const auto& [ending, name] : kUnits) {
    if (!key.ends_with(ending)) continue;
    key.erase(key.size() - std::string_view(ending).size());
    unit = text(" (", name, ")");
  }
  auto words = split(key, '_');
  for (auto& word : words) {
    if (std::find(kAcronyms.begin(), kAcronyms.end(), word) == kAcronyms.end()) continue;
    for (auto& letter : word) letter = static_cast<char>(std::toupper(letter));
  }
  return join(words, " ") + unit;
}

std::string unit_of(const std::string& name) {
  static constexpr std::array<std::string_view, 7> kNats = {"bound",          "elbo",        "reconstruction",    "kl",
                                                            "log_likelihood", "marginal_kl", "mutual_information"};
  return std::find(kNats.begin(), kNats.end(), name) == kNats.end() ? "" : "nats";
}

std::optional<double> standard_error(const Json& metrics, const std::string& key) {
  auto error_key = key + "_standard_error";
  for (const std::string unit : {"_nats", "_bits_per_dim", "_db"}) {
    if (key.ends_with(unit)) error_key = key.substr(0, key.size() - unit.size()) + "_standard_error" + unit;
  }
  const auto found = metrics.find(error_key);
  return found != metrics.end() && found->is_number() ? std::optional(found->get<double>()) : std::nullopt;
}

std::string with_error(double value, const std::optional<double>& error) {
  return error ? text(six_digits(value), " <small>±\u00a0", significant(*error, 3), "</small>") : six_digits(value);
}

std::string run_headers(const Runs& runs, const char* css) {
  std::string html;
  for (const auto& run : runs) html += text("<th scope=\"col\"", css, ">", escaped(run.title), "</th>");
  return html;
}

}  // namespace elbo::detail
