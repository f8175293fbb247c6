#include "cells.h"

#include <charconv>
#include <cmath>

#include "elbo/base/text.h"

namespace elbo::detail {

namespace {
constexpr size_t kMostClassNames = size_t{1} << 16;
}

std::optional<double> parsed_number(std::string_view cell) {
  if (cell.starts_with('+')) cell.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  if (error != std::errc() || end != cell.data() + cell.size() || !std::isfinite(value)) return {};
  return value;
}

double ClassNames::add(const std::string& name, const Fail& fail) {
  if (places_.size() == kMostClassNames && !places_.contains(name)) {
    fail(text("more than ", kMostClassNames, " classes; is this column a number?"));
  }
  return places_.emplace(name, static_cast<double>(places_.size())).first->second;
}

std::vector<std::string> ClassNames::sorted(std::vector<double>& cells) const {
  std::vector<std::string> names;
  std::vector<double> sorted(places_.size());
  for (const auto& [name, place] : places_) {
    sorted[static_cast<size_t>(place)] = static_cast<double>(names.size());
    names.push_back(name);
  }
  for (double& cell : cells) {
    if (!std::isnan(cell)) cell = sorted[static_cast<size_t>(cell)];
  }
  return names;
}

}  // namespace elbo::detail
