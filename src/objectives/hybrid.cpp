#include "elbo/objectives/hybrid.h"

#include "elbo/base/error.h"
#include "kl_term.h"

namespace elbo {
namespace {

class Hybrid final : public Objective {
 public:
  Hybrid(const HybridConfig& config, Variational& model, ObjectiveContext context)
      : config_(config), model_(model), context_(std::move(context)), beta_("beta", config.beta, context_.device) {}

  LossTerms losses(const Batch& batch, Step& step) override {
    const auto latents = model_.infer(batch, config_.samples, step.noise);
    const auto distortion = detail::distortion(latents, model_.decode(latents, batch));
    const auto kl = detail::kl_term(latents, config_.kl);
    const auto drawn = from_prior(batch, step);
    const auto of_prior = detail::distortion(drawn, model_.decode(drawn, batch));
    LossTerms losses{
        .loss = config_.alpha * (distortion.optimised + beta_.tensor() * kl) + (1 - config_.alpha) * of_prior.optimised,
        .terms = detail::elbo_terms(distortion, kl)};
    losses.terms.push_back({"prior_reconstruction", of_prior.reported});
    return losses;
  }

  std::vector<Scheduled> scheduled() override { return {beta_}; }
  int64_t samples() const override { return 2 * config_.samples; }

 private:
  Latents from_prior(const Batch& batch, Step& step) {
    auto drawn = model_.prior(batch, config_.samples, step.noise);
    if (drawn.layers.size() != 1) {
      throw ConfigError(context_.objective + " draws z from the prior, with its gradient, in one layer; " + context_.model +
                        " has " + std::to_string(drawn.layers.size()));
    }
    auto& latent = drawn.layers.front();
    latent.z = latent.p->rsample({config_.samples, batch.size()}, step.noise);
    return drawn;
  }

  HybridConfig config_;
  Variational& model_;
  ObjectiveContext context_;
  Scheduled beta_;
};

}  // namespace

std::shared_ptr<Objective> make_hybrid(const HybridConfig& config, Variational& model, const ObjectiveContext& context) {
  return std::make_shared<Hybrid>(config, model, context);
}

}  // namespace elbo
