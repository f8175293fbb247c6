#include "elbo/objectives/capacity.h"

#include "kl_term.h"

namespace elbo {
namespace {

class Capacity final : public Objective {
 public:
  Capacity(const CapacityConfig& config, Variational& model, const ObjectiveContext& context)
      : config_(config), model_(model), capacity_("capacity", config.capacity, context.device) {}

  LossTerms losses(const Batch& batch, Step& step) override {
    const auto latents = model_.infer(batch, config_.samples, step.noise);
    const auto distortion = detail::distortion(latents, model_.decode(latents, batch));
    const auto kl = detail::kl_term(latents, config_.kl);
    return {.loss = distortion.optimised,
            .batch_loss = config_.gamma * (kl.mean() - capacity_.tensor()).abs(),
            .terms = detail::elbo_terms(distortion, kl)};
  }

  std::vector<Scheduled> scheduled() override { return {capacity_}; }
  int64_t samples() const override { return config_.samples; }
  bool couples_batch() const override { return true; }

 private:
  CapacityConfig config_;
  Variational& model_;
  Scheduled capacity_;
};

}  // namespace

CapacityConfig::CapacityConfig() : capacity(scheduled_number(25)) {
  capacity.set("linear", LinearScheduleConfig{.from = 0, .to = 25, .steps = 100'000});
}

std::shared_ptr<Objective> make_capacity(const CapacityConfig& config, Variational& model, const ObjectiveContext& context) {
  return std::make_shared<Capacity>(config, model, context);
}

}  // namespace elbo
