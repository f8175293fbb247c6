#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace elbo::detail {

/// What reports a problem of a cell: throws.
using Fail = std::function<void(const std::string& problem)>;

/// A finite decimal number, or nothing.
std::optional<double> parsed_number(std::string_view cell);

/// The classes of a column of texts. They get their places in the order of appearance, and sorted ones at the end.
class ClassNames {
 public:
  double add(const std::string& name, const Fail& fail);
  /// The names, sorted; `cells` are changed to their places among them, NaN stays.
  std::vector<std::string> sorted(std::vector<double>& cells) const;

 private:
  std::map<std::string, double> places_ = {};
};

}  // namespace elbo::detail
