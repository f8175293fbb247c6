#include "elbo/base/text.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace elbo {

std::string join(std::span<const std::string> parts, std::string_view separator) {
  std::string joined;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) joined += separator;
    joined += parts[i];
  }
  return joined;
}

std::string alternatives(std::span<const std::string> parts) {
  if (parts.size() < 2) return join(parts, "");
  return join(parts.first(parts.size() - 1), ", ") + " or " + parts.back();
}

std::string_view trim(std::string_view whole) {
  constexpr std::string_view kBlank = " \t\r\n";
  const size_t first = whole.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return whole.substr(first, whole.find_last_not_of(kBlank) - first + 1);
}

std::vector<std::string> split(std::string_view whole, char separator) {
  std::vector<std::string> parts;
  for (;;) {
    const size_t end = whole.find(separator);
    parts.emplace_back(whole.substr(0, end));
    if (end == std::string_view::npos) return parts;
    whole.remove_prefix(end + 1);
  }
}

int64_t edit_distance(std::string_view a, std::string_view b) {
  // Three rows of the optimal-string-alignment table.
  std::vector<int64_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) last[j] = static_cast<int64_t>(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = static_cast<int64_t>(i);
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

std::optional<std::string> nearest(std::string_view name, std::span<const std::string> candidates) {
  std::optional<std::string> best;
  int64_t best_distance = 0;
  for (const auto& candidate : candidates) {
    const auto longer = static_cast<int64_t>(std::max(name.size(), candidate.size()));
    const auto shorter = static_cast<int64_t>(std::min(name.size(), candidate.size()));
    const int64_t limit = std::clamp<int64_t>(longer / 3, 1, 3);
    if (shorter == 0 || longer - shorter > limit) continue;
    const int64_t distance = edit_distance(name, candidate);
    if (distance > limit || distance >= longer || (best && distance >= best_distance)) continue;
    best = candidate;
    best_distance = distance;
  }
  return best;
}

std::string did_you_mean(std::string_view name, std::span<const std::string> candidates) {
  const auto best = nearest(name, candidates);
  return best ? ", did you mean '" + *best + "'?" : "";
}

std::string did_you_mean(std::string_view name, std::span<const std::string> candidates, std::string_view then) {
  const auto hint = did_you_mean(name, candidates);
  std::string sentence(then);
  if (!hint.empty() && !sentence.empty()) sentence[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(sentence[0])));
  return hint.empty() ? "; " + sentence : hint + " " + sentence;
}

std::string in_quotes(std::string_view raw) {
  constexpr size_t kLongest = 80;
  std::string out = "'";
  for (size_t i = 0; i < raw.size(); ++i) {
    const auto byte = static_cast<unsigned char>(raw[i]);
    const bool starts_character = (byte & 0xC0) != 0x80;
    if (i >= kLongest && starts_character) return out + "…' (" + with_commas(static_cast<int64_t>(raw.size())) + " bytes)";
    if (byte == '\n') {
      out += "\\n";
    } else if (byte == '\t') {
      out += "\\t";
    } else if (byte < 0x20 || byte == 0x7F) {
      std::array<char, 8> escaped{};
      std::snprintf(escaped.data(), escaped.size(), "\\x%02x", byte);
      out += escaped.data();
    } else {
      out += raw[i];
    }
  }
  return out + "'";
}

std::string shortest(double value) {
  std::array<char, 40> buffer{};
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr;
  return std::string(buffer.data(), end);
}

std::string with_commas(int64_t value) {
  std::string digits = std::to_string(value);
  const size_t first = value < 0 ? 1 : 0;
  for (size_t i = digits.size(); i > first + 3;) {
    i -= 3;
    digits.insert(i, ",");
  }
  return digits;
}

std::string duration(double seconds) {
  if (!std::isfinite(seconds) || seconds > 1e12) return "?";
  const auto whole = static_cast<int64_t>(std::llround(std::max(seconds, 0.0)));
  const int64_t days = whole / 86400;
  const int64_t hours = whole / 3600 % 24;
  const int64_t minutes = whole / 60 % 60;
  std::array<char, 64> buffer{};
  if (whole >= 3600) {
    std::snprintf(buffer.data(), buffer.size(), "%ld:%02ld:%02ld", static_cast<long>(hours), static_cast<long>(minutes),
                  static_cast<long>(whole % 60));
  } else {
    std::snprintf(buffer.data(), buffer.size(), "%ld:%02ld", static_cast<long>(minutes), static_cast<long>(whole % 60));
  }
  return (days > 0 ? std::to_string(days) + "d " : "") + buffer.data();
}

std::string count_of(int64_t count, std::string_view singular) {
  return with_commas(count) + " " + std::string(singular) + (count == 1 ? "" : "s");
}

std::optional<size_t> find_invalid_utf8(std::string_view bytes) {
  for (size_t i = 0; i < bytes.size();) {
    const auto lead = static_cast<unsigned char>(bytes[i]);
    size_t length = 1;
    uint32_t code = lead;
    uint32_t smallest = 0;
    if (lead >= 0xF0 && lead < 0xF8) {
      length = 4, code = lead & 0x07U, smallest = 0x10000;
    } else if (lead >= 0xE0 && lead < 0xF0) {
      length = 3, code = lead & 0x0FU, smallest = 0x800;
    } else if (lead >= 0xC0 && lead < 0xE0) {
      length = 2, code = lead & 0x1FU, smallest = 0x80;
    } else if (lead >= 0x80) {
      return i;
    }
    if (i + length > bytes.size()) return i;
    for (size_t k = 1; k < length; ++k) {
      const auto next = static_cast<unsigned char>(bytes[i + k]);
      if ((next & 0xC0) != 0x80) return i;
      code = (code << 6) | (next & 0x3FU);
    }
    if (code < smallest || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return i;
    i += length;
  }
  return std::nullopt;
}

int64_t display_width(std::string_view utf8) {
  int64_t width = 0;
  for (size_t i = 0; i < utf8.size(); ++i) {
    if (utf8[i] == '\x1b' && i + 1 < utf8.size() && utf8[i + 1] == '[') {
      const size_t end = utf8.find('m', i);
      if (end == std::string_view::npos) return width;
      i = end;
    } else if ((static_cast<unsigned char>(utf8[i]) & 0xC0) != 0x80) {
      ++width;
    }
  }
  return width;
}

}  // namespace elbo
