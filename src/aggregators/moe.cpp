#include "elbo/aggregators/moe.h"

namespace elbo {
namespace {

class Moe final : public Aggregator {
 public:
  using Aggregator::Aggregator;
  std::string_view name() const override { return "moe"; }
  Subset sources() const override { return modalities(); }
  std::vector<Subset> components(const Subset& given) const override {
    std::vector<Subset> singles;
    for (const auto& modality : given) singles.push_back({modality});
    return singles;
  }
};

}  // namespace

std::shared_ptr<Aggregator> make_moe(const NoConfig&, const AggregatorContext& context) {
  return std::make_shared<Moe>(context.modalities);
}

}  // namespace elbo
