#include "elbo/experiment/config.h"

#include <algorithm>
#include <cctype>

#include "elbo/config/override.h"
#include "elbo/config/yaml.h"

namespace elbo {

std::string name_problem(std::string_view name) {
  constexpr size_t kLongestName = 200;
  const auto allowed = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || std::string_view("_-./").find(c) != std::string_view::npos;
  };
  if (name.size() > kLongestName)
    return "has " + std::to_string(name.size()) + " characters, at most " + std::to_string(kLongestName) + " are allowed";
  if (!std::all_of(name.begin(), name.end(), allowed)) return "holds other characters than letters, digits, _ - . and /";
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('/', begin), name.size());
    const auto part = name.substr(begin, end - begin);
    if (part.empty() || part == "." || part == "..")
      return "must stay below runs/: no leading, trailing or doubled '/', no '.' or '..' as a part";
    begin = end + 1;
  }
  return {};
}

void ExperimentConfig::check(Relations& relations) const {
  if (const auto problem = name_problem(name); !problem.empty()) relations.problem("name", problem);
}

ExperimentConfig load_experiment(const std::filesystem::path& file, std::span<const std::string> overrides) {
  auto root = load_yaml(file);
  apply_overrides(root, overrides);
  return read_config<ExperimentConfig>(root);
}

}  // namespace elbo
