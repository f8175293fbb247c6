#include "elbo/experiment/sweep.h"

#include <algorithm>
#include <cctype>
#include <set>

#include "elbo/base/error.h"
#include "elbo/base/text.h"

namespace elbo {
namespace {

/// Letters, digits and ._+=- stay; so that a folder's name needs no quotes in a shell.
std::string as_folder(const std::string& written) {
  std::string name;
  for (const char c : written) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) || std::string_view("._+=-").find(c) != std::string_view::npos;
    if (plain) {
      name += c;
    } else if (!name.empty() && name.back() != '_' && name.back() != '=') {
      name += '_';
    }
  }
  while (!name.empty() && name.back() == '_') name.pop_back();
  return name;
}

/// "{type: vq, codes: 8}" says its type by standing first.
std::string without_type(const std::string& value) {
  constexpr std::string_view kType = "{type:";
  return value.starts_with(kType) ? value.substr(kType.size()) : value;
}

std::string folder_of(const std::vector<SweepAxis>& axes, const std::vector<std::string>& values) {
  constexpr size_t kLongest = 150;
  std::vector<std::string> parts;
  for (size_t i = 0; i < axes.size(); ++i) parts.push_back(as_folder(axes[i].key + "=" + without_type(values[i])));
  const auto name = parts.empty() ? "all" : join(parts, "__");
  return name.substr(0, kLongest);
}

}  // namespace

std::vector<std::string> sweep_values(const std::string& text) {
  std::vector<std::string> values(1);
  int depth = 0;
  char quote = 0;
  for (const char c : text) {
    if (quote != 0) {
      if (c == quote) quote = 0;
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (c == '[' || c == '{') {
      ++depth;
    } else if (c == ']' || c == '}') {
      --depth;
    } else if (c == ',' && depth <= 0) {
      values.emplace_back();
      continue;
    }
    values.back() += c;
  }
  for (auto& value : values) value = std::string(trim(value));
  return values;
}

SweepPlan plan_sweep(std::span<const std::string> assignments) {
  SweepPlan plan;
  std::set<std::string> keys;
  for (const auto& assignment : assignments) {
    const auto equals = assignment.find('=');
    const auto key = std::string(trim(assignment.substr(0, equals)));
    const auto place = "--set " + assignment + ": ";
    if (equals == std::string::npos || key.empty())
      throw UsageError(place + "expected KEY=VALUE, such as objective.beta=0.5,1,4");
    if (key == "seed") throw UsageError(place + "seeds are chosen by --seeds");
    if (!keys.insert(key).second) throw UsageError(place + key + " is given twice; write its values in one, separated by commas");
    auto values = sweep_values(assignment.substr(equals + 1));
    if (values.size() == 1) {
      plan.constant.push_back(assignment);
      continue;
    }
    for (size_t i = 0; i < values.size(); ++i) {
      if (values[i].empty()) throw UsageError(place + "one of the values is empty");
      if (std::find(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(i), values[i]) !=
          values.begin() + static_cast<std::ptrdiff_t>(i))
        throw UsageError(place + "the value " + in_quotes(values[i]) + " is given twice");
    }
    plan.axes.push_back({key, std::move(values)});
  }
  return plan;
}

std::vector<SweepSetting> SweepPlan::settings() const {
  std::vector<std::vector<std::string>> points(1);
  for (const auto& axis : axes) {
    std::vector<std::vector<std::string>> longer;
    for (const auto& point : points) {
      for (const auto& value : axis.values) {
        longer.push_back(point);
        longer.back().push_back(value);
      }
    }
    points = std::move(longer);
  }
  std::vector<SweepSetting> all;
  std::set<std::string> folders;
  for (auto& point : points) {
    auto overrides = constant;
    for (size_t i = 0; i < axes.size(); ++i) overrides.push_back(axes[i].key + "=" + point[i]);
    const auto base = folder_of(axes, point);
    auto folder = base;
    for (int copy = 2; !folders.insert(folder).second; ++copy) folder = base + "-" + std::to_string(copy);
    all.push_back({.values = std::move(point), .overrides = std::move(overrides), .folder = std::move(folder)});
  }
  return all;
}

}  // namespace elbo
