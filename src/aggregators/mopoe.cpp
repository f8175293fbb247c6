#include "elbo/aggregators/mopoe.h"

#include <algorithm>
#include <set>

#include "elbo/base/error.h"
#include "elbo/base/text.h"

namespace elbo {
namespace {

constexpr size_t kMostModalities = 10;

/// Small subsets first, each in the order of the modalities.
std::vector<Subset> power_set(const Subset& names) {
  if (names.size() > kMostModalities) {
    throw ConfigError(text("aggregation.subsets: all: ", names.size(), " modalities have ", (int64_t{1} << names.size()) - 1,
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
  if (listed.empty()) throw ConfigError("aggregation.subsets: an empty list, expected at least one subset");
  std::vector<Subset> subsets;
  for (const auto& asked : listed) {
    for (const auto& name : asked) {
      if (std::find(names.begin(), names.end(), name) != names.end()) continue;
      throw ConfigError(text("aggregation.subsets: '", name, "' is no modality",
                             did_you_mean(name, names, "the modalities are " + join(names, ", "))));
    }
    Subset subset;
    for (const auto& name : names) {
      if (std::find(asked.begin(), asked.end(), name) != asked.end()) subset.push_back(name);
    }
    if (subset.size() != asked.size() || subset.empty()) {
      throw ConfigError(text("aggregation.subsets: [", join(asked, ", "), "] is empty or names a modality twice"));
    }
    if (std::find(subsets.begin(), subsets.end(), subset) != subsets.end()) {
      throw ConfigError(text("aggregation.subsets: [", join(subset, ", "), "] is listed twice"));
    }
    subsets.push_back(std::move(subset));
  }
  return subsets;
}

std::vector<Subset> subsets_of(const MopoeConfig& config, const Subset& names) {
  if (const auto* listed = std::get_if<std::vector<Subset>>(&config.subsets)) return checked(*listed, names);
  switch (std::get<Subsets>(config.subsets)) {
    case Subsets::all:
      return power_set(names);
    case Subsets::singles:
      return singles(names);
    case Subsets::full:
      return {names};
  }
  return {};
}

class Mopoe final : public Aggregator {
 public:
  Mopoe(const MopoeConfig& config, const AggregatorContext& context)
      : Aggregator(context.modalities), config_(config), subsets_(subsets_of(config, context.modalities)) {}

  std::string_view name() const override { return "mopoe"; }
  /// Those that some subset reads.
  Subset sources() const override {
    std::set<std::string> read;
    for (const auto& subset : subsets_) read.insert(subset.begin(), subset.end());
    return {read.begin(), read.end()};
  }
  std::vector<Subset> components(const Subset& given) const override {
    if (config_.given == GivenSubset::product && given.size() < modalities().size() && !given.empty()) return {given};
    std::vector<Subset> within;
    for (const auto& subset : subsets_) {
      const bool inside = std::all_of(subset.begin(), subset.end(), [&](const std::string& name) {
        return std::find(given.begin(), given.end(), name) != given.end();
      });
      if (inside) within.push_back(subset);
    }
    return within;
  }
  PriorExpert prior_expert() const override { return config_.prior_expert; }

 private:
  MopoeConfig config_;
  std::vector<Subset> subsets_;
};

}  // namespace

std::shared_ptr<Aggregator> make_mopoe(const MopoeConfig& config, const AggregatorContext& context) {
  return std::make_shared<Mopoe>(config, context);
}

}  // namespace elbo
