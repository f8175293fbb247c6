#include "elbo/aggregators/mopoe.h"

#include <algorithm>
#include <set>

#include "elbo/base/error.h"
#include "elbo/base/text.h"

namespace elbo {
namespace {

/// Throws: ConfigError.
std::vector<Subset> configured_subsets(const MopoeConfig& config, const Subset& names) {
  try {
    return subsets_of(config.subsets, names);
  } catch (const UsageError& error) {
    throw ConfigError(text("aggregation.subsets: ", error.what()));
  }
}

class Mopoe final : public Aggregator {
 public:
  Mopoe(const MopoeConfig& config, const AggregatorContext& context)
      : Aggregator(context.modalities), config_(config), subsets_(configured_subsets(config, context.modalities)) {}

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
  MixtureDraw draw() const override { return config_.draw; }

 private:
  MopoeConfig config_;
  std::vector<Subset> subsets_;
};

}  // namespace

std::shared_ptr<Aggregator> make_mopoe(const MopoeConfig& config, const AggregatorContext& context) {
  return std::make_shared<Mopoe>(config, context);
}

}  // namespace elbo
