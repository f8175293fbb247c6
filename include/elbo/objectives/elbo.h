#pragma once
#include "elbo/objectives/objective.h"

namespace elbo {

/// How the KL term of the evidence lower bound is computed.
enum class KlEstimator {
  analytic,     // closed form; an error where the pair has none
  monte_carlo,  // log q(z | x) - log p(z) on the samples
};
constexpr auto enum_names(KlEstimator) {
  return std::array{std::pair{std::string_view("analytic"), KlEstimator::analytic},
                    std::pair{std::string_view("monte_carlo"), KlEstimator::monte_carlo}};
}

/// Evidence lower bound E_q[log p(x | z)] - beta KL(q(z | x) || p(z)).
/// Source: Kingma & Welling 2014 (arXiv:1312.6114), eq. 2: estimator A is `monte_carlo`, B is `analytic`.
/// Units: nats per example. Terms: bound (beta 1), reconstruction (-E log p(x | z)), kl.
struct ElboConfig {
  ScheduledNumber beta = scheduled_number(1);
  int64_t samples = 1;
  KlEstimator kl = KlEstimator::analytic;

  template <class F>
  void fields(F& field) {
    field("beta", beta, "weight of the KL term", at_least(0));
    field("samples", samples, "posterior samples K an example", between(1, 100'000));
    field("kl", kl, "KL term: analytic, or monte_carlo on the samples");
  }
};

/// The same objective with the default of beta-VAE.
/// Source: Higgins et al. 2017 (ICLR), eq. 4; beta multiplies the KL summed over latents, beside a reconstruction summed over
/// pixels (their unnormalised beta; beta_norm = beta D / X).
struct BetaVaeConfig : ElboConfig {
  BetaVaeConfig() { beta = scheduled_number(4); }
};

std::shared_ptr<Objective> make_elbo(const ElboConfig& config, Variational& model, const ObjectiveContext& context);
std::shared_ptr<Objective> make_beta_vae(const BetaVaeConfig& config, Variational& model, const ObjectiveContext& context);

}  // namespace elbo
