#include "elbo/aggregators/subsets.h"

#include <algorithm>

#include "elbo/base/error.h"
#include "elbo/base/text.h"

namespace elbo {
namespace {

constexpr size_t kMostModalities = 10;

/// Small subsets first, each in the order of the modalities.
std::vector<Subset> power_set(const Subset& names) {
  if (names.size() > kMostModalities) {
    throw UsageError(text("all: ", names.size(), " modalities have ", (int64_t{1} << names.size()) - 1,
                          " subsets, expected at most ", kMostModalities, " modalities; list the subsets instead"));
  }
  std::vector<Subset> subsets;
  for (size_t bits = 1; bits < (size_t{1} << names.size()); ++bits) {
    Subset subset;
    for (size_t i = 0; i < names.size(); ++i) {
      if (bits >> i & 1) subset.push_back(names[i]);
    }
    subsets.push_back(std::move(subset));
  }
  std::stable_sort(subsets.begin(), subsets.end(), [](const Subset& a, const Subset& b) { return a.size() < b.size(); });
  return subsets;
}

std::vector<Subset> singles(const Subset& names) {
  std::vector<Subset> subsets;
  for (const auto& name : names) subsets.push_back({name});
  return subsets;
}

/// As listed, each in the order of the modalities.
std::vector<Subset> checked(const std::vector<Subset>& listed, const Subset& names) {
  if (listed.empty()) throw UsageError("an empty list, expected at least one subset");
  std::vector<Subset> subsets;
  for (const auto& asked : listed) {
    for (const auto& name : asked) {
      if (std::find(names.begin(), names.end(), name) != names.end()) continue;
      throw UsageError(text("'", name, "' is no modality", did_you_mean(name, names, "the modalities are " + join(names, ", "))));
    }
    Subset subset;
    for (const auto& name : names) {
      if (std::find(asked.begin(), asked.end(), name) != asked.end()) subset.push_back(name);
    }
    if (subset.size() != asked.size() || subset.empty()) {
      throw UsageError(text("[", join(asked, ", "), "] is empty or names a modality twice"));
    }
    if (std::find(subsets.begin(), subsets.end(), subset) != subsets.end()) {
      throw UsageError(text("[", join(subset, ", "), "] is listed twice"));
    }
    subsets.push_back(std::move(subset));
  }
  return subsets;
}

}  // namespace

std::vector<Subset> subsets_of(const SubsetChoice& choice, const Subset& modalities) {
  if (const auto* listed = std::get_if<std::vector<Subset>>(&choice)) return checked(*listed, modalities);
  switch (std::get<Subsets>(choice)) {
    case Subsets::all:
      return power_set(modalities);
    case Subsets::singles:
      return singles(modalities);
    case Subsets::full:
      return {modalities};
  }
  return {};
}

}  // namespace elbo
