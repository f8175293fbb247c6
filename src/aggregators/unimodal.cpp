#include "elbo/aggregators/unimodal.h"

#include <algorithm>

#include "elbo/base/error.h"
#include "elbo/base/text.h"

namespace elbo {
namespace {

class Unimodal final : public Aggregator {
 public:
  Unimodal(std::string modality, const AggregatorContext& context)
      : Aggregator(context.modalities), modality_(std::move(modality)) {}
  std::string_view name() const override { return "unimodal"; }
  Subset sources() const override { return {modality_}; }
  std::vector<Subset> components(const Subset& given) const override {
    if (std::find(given.begin(), given.end(), modality_) == given.end()) return {};
    return {{modality_}};
  }

 private:
  std::string modality_;
};

}  // namespace

std::shared_ptr<Aggregator> make_unimodal(const UnimodalConfig& config, const AggregatorContext& context) {
  const auto& names = context.modalities;
  if (names.empty()) throw ConfigError("aggregation unimodal: there is no modality to encode");
  const auto name = config.modality.empty() ? names.front() : config.modality;
  if (std::find(names.begin(), names.end(), name) == names.end()) {
    throw ConfigError(text("aggregation.modality: '", name, "' is no modality",
                           did_you_mean(name, names, "the modalities are " + join(names, ", "))));
  }
  return std::make_shared<Unimodal>(name, context);
}

}  // namespace elbo
