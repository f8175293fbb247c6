#include "elbo/aggregators/poe.h"

namespace elbo {
namespace {

class Poe final : public Aggregator {
 public:
  Poe(const PoeConfig& config, const AggregatorContext& context) : Aggregator(context.modalities), config_(config) {}
  std::string_view name() const override { return "poe"; }
  Subset sources() const override { return modalities(); }
  std::vector<Subset> components(const Subset& given) const override {
    return given.empty() ? std::vector<Subset>{} : std::vector<Subset>{given};
  }
  PriorExpert prior_expert() const override { return config_.prior_expert; }
  bool drops_absent() const override { return true; }

 private:
  PoeConfig config_;
};

}  // namespace

std::shared_ptr<Aggregator> make_poe(const PoeConfig& config, const AggregatorContext& context) {
  return std::make_shared<Poe>(config, context);
}

}  // namespace elbo
