#include "elbo/objectives/jmvae.h"

#include "elbo/base/error.h"
#include "elbo/distributions/kl.h"
#include "kl_term.h"
#include "multimodal.h"

namespace elbo {
namespace {

class Jmvae final : public Objective {
 public:
  Jmvae(const JmvaeConfig& config, Multimodal& model, const ObjectiveContext& context)
      : config_(config), model_(model), beta_("beta", config.beta, context.device) {
    detail::need_aggregation(model, {"joint"}, context);
    if (model.aggregator().sources().empty()) {
      throw ConfigError(context.objective + " trains encoders of each modality: set model.aggregation.unimodal_encoders: true");
    }
  }

  LossTerms losses(const Batch& batch, Step& step) override {
    const auto experts = model_.experts(batch, model_.modalities());
    const auto latents = drawn(model_.posterior(batch, experts), batch.size(), config_.samples, step.noise);
    const auto distortion = detail::distortion(latents, model_.decode(latents, batch, model_.modalities()));
    const auto to_prior = detail::kl_term(latents, KlEstimator::analytic);
    Tensor to_unimodal;
    for (const auto& name : model_.modalities()) {
      const auto& expert = detail::expert_named(experts, name);
      to_unimodal = detail::plus(to_unimodal, kl(*latents.layers.front().q, *expert.distribution()));
    }
    LossTerms losses{.loss = distortion.optimised + beta_.tensor() * to_prior + config_.alpha * to_unimodal,
                     .terms = detail::elbo_terms(distortion, to_prior)};
    losses.terms.push_back({"unimodal_kl", to_unimodal.detach()});
    return losses;
  }

  std::vector<Scheduled> scheduled() override { return {beta_}; }
  int64_t samples() const override { return config_.samples; }

 private:
  JmvaeConfig config_;
  Multimodal& model_;
  Scheduled beta_;
};

}  // namespace

std::shared_ptr<Objective> make_jmvae(const JmvaeConfig& config, Multimodal& model, const ObjectiveContext& context) {
  return std::make_shared<Jmvae>(config, model, context);
}

}  // namespace elbo
