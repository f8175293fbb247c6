#include "elbo/aggregators/joint.h"

#include <algorithm>

namespace elbo {
namespace {

class Joint final : public Aggregator {
 public:
  Joint(const JointConfig& config, const AggregatorContext& context) : Aggregator(context.modalities), config_(config) {}
  std::string_view name() const override { return "joint"; }
  Subset sources() const override { return config_.unimodal_encoders ? modalities() : Subset{}; }
  bool has_joint() const override { return true; }
  std::vector<Subset> components(const Subset& given) const override {
    if (std::find(given.begin(), given.end(), kJointExpert) != given.end()) return {{std::string(kJointExpert)}};
    return given.empty() ? std::vector<Subset>{} : std::vector<Subset>{given};
  }

 private:
  JointConfig config_;
};

}  // namespace

std::shared_ptr<Aggregator> make_joint(const JointConfig& config, const AggregatorContext& context) {
  return std::make_shared<Joint>(config, context);
}

}  // namespace elbo
