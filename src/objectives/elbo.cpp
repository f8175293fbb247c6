#include "elbo/objectives/elbo.h"

#include "kl_term.h"

namespace elbo {
namespace {

class Elbo final : public Objective {
 public:
  Elbo(const ElboConfig& config, Variational& model, const ObjectiveContext& context)
      : config_(config), model_(model), beta_("beta", config.beta, context.device) {}

  LossTerms losses(const Batch& batch, Step& step) override {
    const auto latents = model_.infer(batch, config_.samples, step.noise);
    const auto distortion = detail::distortion(latents, model_.decode(latents, batch));
    const auto kl = detail::kl_term(latents, config_.kl);
    return {.loss = distortion.optimised + beta_.tensor() * kl, .terms = detail::elbo_terms(distortion, kl)};
  }

  std::vector<Scheduled> scheduled() override { return {beta_}; }
  int64_t samples() const override { return config_.samples; }

 private:
  ElboConfig config_;
  Variational& model_;
  Scheduled beta_;
};

}  // namespace

std::shared_ptr<Objective> make_elbo(const ElboConfig& config, Variational& model, const ObjectiveContext& context) {
  return std::make_shared<Elbo>(config, model, context);
}

std::shared_ptr<Objective> make_beta_vae(const BetaVaeConfig& config, Variational& model, const ObjectiveContext& context) {
  return make_elbo(config, model, context);
}

}  // namespace elbo
