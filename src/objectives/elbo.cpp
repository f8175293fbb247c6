#include "elbo/objectives/elbo.h"

#include "elbo/base/error.h"
#include "elbo/distributions/kl.h"

namespace elbo {
namespace {

/// Shapes: [B]; of each layer, averaged over samples where the layer's posterior depends on the layer above.
Tensor kl_term(const Latents& latents, KlEstimator estimator) {
  Tensor total;
  for (const auto& layer : latents.layers) {
    if (estimator == KlEstimator::analytic && !has_closed_form_kl(*layer.q, *layer.p)) {
      throw ConfigError("objective.kl: analytic: KL('" + std::string(layer.q->name()) + "' || '" + std::string(layer.p->name()) +
                        "') has no closed form; set objective.kl: monte_carlo");
    }
    auto term = estimator == KlEstimator::analytic ? kl(*layer.q, *layer.p) : monte_carlo_kl(*layer.q, *layer.p, layer.z);
    if (term.dim() > 1) term = average(latents, term);
    total = total.defined() ? total + term : term;
  }
  return total;
}

class Elbo final : public Objective {
 public:
  Elbo(const ElboConfig& config, Variational& model, const ObjectiveContext& context)
      : config_(config), model_(model), beta_("beta", config.beta, context.device) {}

  LossTerms losses(const Batch& batch, Step& step) override {
    const auto latents = model_.infer(batch, config_.samples, step.noise);
    const auto observations = model_.decode(latents, batch);
    const auto optimised = log_likelihood(observations);
    const auto kl = kl_term(latents, config_.kl);
    const auto distortion = -average(latents, optimised);
    const auto reported = reported_log_likelihood(observations, optimised);
    const auto reconstruction = reported.is_same(optimised) ? distortion.detach() : -average(latents, reported);
    return {.loss = distortion + beta_.tensor() * kl,
            .terms = {{"bound", -(reconstruction + kl.detach())}, {"reconstruction", reconstruction}, {"kl", kl.detach()}}};
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
