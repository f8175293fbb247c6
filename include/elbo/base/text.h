#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace elbo {

/// The parts one after the other, as a stream prints them; numbers that must survive a round trip go through shortest().
template <class... Parts>
std::string text(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return std::move(out).str();
}

std::string join(std::span<const std::string> parts, std::string_view separator);
/// "a", "a or b", "a, b or c".
std::string alternatives(std::span<const std::string> parts);
/// Without the spaces, tabs and line ends on both sides.
std::string_view trim(std::string_view whole);
/// Always one part more than there are separators: empty parts stay.
std::vector<std::string> split(std::string_view whole, char separator);

/// Insertions, deletions, substitutions and swaps of neighbours that turn one word into the other.
int64_t edit_distance(std::string_view a, std::string_view b);
/// The candidate that a typist most likely meant, if one is near enough.
std::optional<std::string> nearest(std::string_view name, std::span<const std::string> candidates);
/// ", did you mean 'x'?" or nothing.
std::string did_you_mean(std::string_view name, std::span<const std::string> candidates);
/// The same with a sentence that follows it, which begins in lower case: ", did you mean 'x'? It has x, y" or "; it has x, y".
std::string did_you_mean(std::string_view name, std::span<const std::string> candidates, std::string_view then);

/// In single quotes, control characters escaped and long texts cut, fit for an error message.
std::string in_quotes(std::string_view raw);

/// The shortest decimal that reads back as the same double: "0.1", "1e-05", "50".
std::string shortest(double value);
/// 1234567 -> "1,234,567".
std::string with_commas(int64_t value);
/// 9 -> "0:09", 751 -> "12:31", 3723 -> "1:02:03"; days are "2d 3:04:05".
std::string duration(double seconds);
/// A count with its noun: "1 problem", "2,000 problems".
std::string count_of(int64_t count, std::string_view singular);

/// The byte offset of the first byte that isn't UTF-8 (overlong forms and surrogates included), or nothing.
std::optional<size_t> find_invalid_utf8(std::string_view bytes);
/// Terminal columns of a UTF-8 text, escape sequences of colours not counted; every character is taken as one column.
int64_t display_width(std::string_view utf8);

}  // namespace elbo
