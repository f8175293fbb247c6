#include "elbo/base/json.h"

#include <algorithm>

#include "elbo/base/text.h"

namespace elbo::detail {

namespace {
constexpr int kMaxDepth = 128;  // nlohmann's parser keeps its own stack, but destroying and walking a value recurse

bool too_deep(std::string_view json_text) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < json_text.size(); ++i) {
    const char c = json_text[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxDepth) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

/// "line 3, column 7 (byte 41)", counted from 1.
std::string position_of(std::string_view json_text, size_t byte) {
  const auto before = json_text.substr(0, std::min(byte, json_text.size()));
  const size_t last_newline = before.rfind('\n');
  const size_t line = static_cast<size_t>(std::count(before.begin(), before.end(), '\n')) + 1;
  const size_t column = before.size() - (last_newline == std::string_view::npos ? 0 : last_newline + 1) + 1;
  return text("line ", line, ", column ", column, " (byte ", byte + 1, ")");
}
}  // namespace

std::string json_problem(std::string_view json_text, Json& value) {
  if (const auto bad = find_invalid_utf8(json_text)) return "not UTF-8 at " + position_of(json_text, *bad);
  if (too_deep(json_text)) return text("JSON nested deeper than ", kMaxDepth, " levels");
  try {
    value = Json::parse(json_text);
    return {};
  } catch (const nlohmann::json::parse_error& error) {
    const size_t byte = error.byte > 0 ? error.byte - 1 : 0;
    return "not JSON at " + position_of(json_text, byte) + (byte >= json_text.size() ? ": the text ends too early" : "");
  } catch (const nlohmann::json::exception& error) {  // a number beyond a double
    return std::string("JSON that can't be read: ") + error.what();
  }
}

}  // namespace elbo::detail
