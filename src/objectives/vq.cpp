#include "elbo/objectives/vq.h"

#include "vq_pass.h"

namespace elbo {
namespace {

class VqObjective final : public Objective {
 public:
  VqObjective(const VqObjectiveConfig& config, Quantized& model) : config_(config), model_(model) {}

  LossTerms losses(const Batch& batch, Step& step) override {
    return detail::vq_pass(model_, batch, step, config_.reduction).losses;
  }
  std::vector<Scheduled> scheduled() override { return detail::scheduled_of(model_); }

 private:
  VqObjectiveConfig config_;
  Quantized& model_;
};

}  // namespace

std::shared_ptr<Objective> make_vq_objective(const VqObjectiveConfig& config, Quantized& model, const ObjectiveContext&) {
  return std::make_shared<VqObjective>(config, model);
}

}  // namespace elbo
