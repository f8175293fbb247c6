#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "elbo/base/error.h"

namespace elbo {

/// Keys keep the order in which they were written.
using Json = nlohmann::ordered_json;

namespace detail {
/// The reason and the place ("line 3, column 7 (byte 41)") if the text isn't JSON we take; fills `value` otherwise.
std::string json_problem(std::string_view json_text, Json& value);
}  // namespace detail

/// Strict JSON, at most 128 levels deep. Throws E, naming the origin (a path, or what the text is) and the place in it.
template <class E = DataError>
Json parse_json(std::string_view json_text, const std::string& origin) {
  Json value;
  if (const auto problem = detail::json_problem(json_text, value); !problem.empty()) throw E(origin + ": " + problem);
  return value;
}

}  // namespace elbo
