#include "elbo/objectives/mvtcae.h"

#include "elbo/distributions/kl.h"
#include "kl_term.h"
#include "multimodal.h"

namespace elbo {
namespace {

class Mvtcae final : public Objective {
 public:
  Mvtcae(const MvtcaeConfig& config, Multimodal& model, const ObjectiveContext& context)
      : config_(config), model_(model), beta_("beta", config.beta, context.device) {
    detail::need_aggregation(model, {"poe"}, context);
  }

  LossTerms losses(const Batch& batch, Step& step) override {
    const auto experts = model_.experts(batch, model_.modalities());
    const auto latents = drawn(model_.posterior(batch, experts), batch.size(), config_.samples, step.noise);
    const auto distortion = detail::distortion(latents, model_.decode(latents, batch, model_.modalities()));
    const auto& q = *latents.layers.front().q;
    const auto to_prior = detail::kl_term(latents, KlEstimator::analytic);
    Tensor to_experts;
    for (const auto& name : model_.modalities()) {
      const auto& expert = detail::expert_named(experts, name);
      to_experts = detail::plus(to_experts, detail::where_present(expert, kl(q, *expert.distribution())));
    }
    const auto M = detail::num_present(experts, model_.modalities()).clamp_min(1);
    const auto divergence = (1 - config_.alpha) * to_prior + config_.alpha / M * to_experts;
    LossTerms losses{.loss = (M - config_.alpha) / M * distortion.optimised + beta_.tensor() * divergence,
                     .terms = detail::elbo_terms(distortion, to_prior)};
    losses.terms.push_back({"conditional_kl", to_experts.detach()});
    return losses;
  }

  std::vector<Scheduled> scheduled() override { return {beta_}; }
  int64_t samples() const override { return config_.samples; }

 private:
  MvtcaeConfig config_;
  Multimodal& model_;
  Scheduled beta_;
};

}  // namespace

std::shared_ptr<Objective> make_mvtcae(const MvtcaeConfig& config, Multimodal& model, const ObjectiveContext& context) {
  return std::make_shared<Mvtcae>(config, model, context);
}

}  // namespace elbo
