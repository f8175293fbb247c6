#include "kl_term.h"

#include "elbo/base/error.h"
#include "elbo/distributions/kl.h"

namespace elbo::detail {
namespace {

void check_closed_form(const Latent& layer, KlEstimator estimator) {
  if (estimator != KlEstimator::analytic || has_closed_form_kl(*layer.q, *layer.p)) return;
  throw ConfigError("objective.kl: analytic: KL('" + std::string(layer.q->name()) + "' || '" + std::string(layer.p->name()) +
                    "') has no closed form; set objective.kl: monte_carlo");
}

/// average() for values that have one more extent, the latents. Shapes: [K, B, D] or [S, K, B, D] -> [B, D].
Tensor average_per_latent(const Latents& latents, const Tensor& t) {
  if (t.dim() == 3) return t.mean(0);
  std::vector<Tensor> units;
  for (const auto& unit : t.unbind(-1)) units.push_back(average(latents, unit));
  return torch::stack(units, -1);
}

}  // namespace

Tensor kl_term(const Latents& latents, KlEstimator estimator) {
  Tensor total;
  for (const auto& layer : latents.layers) {
    check_closed_form(layer, estimator);
    auto term = estimator == KlEstimator::analytic ? kl(*layer.q, *layer.p) : monte_carlo_kl(*layer.q, *layer.p, layer.z);
    if (term.dim() > 1) term = average(latents, term);
    total = total.defined() ? total + term : term;
  }
  return total;
}

Tensor kl_per_latent(const Latents& latents, KlEstimator estimator) {
  std::vector<Tensor> layers;
  for (const auto& layer : latents.layers) {
    check_closed_form(layer, estimator);
    const bool analytic = estimator == KlEstimator::analytic;
    const auto term = analytic ? kl_per_unit(*layer.q, *layer.p)
                               : layer.q->log_prob_per_element(layer.z) - layer.p->log_prob_per_element(layer.z);
    const auto event_dims = static_cast<int64_t>(layer.q->event_shape().size());
    const auto flat = term.flatten(term.dim() - event_dims);
    layers.push_back(flat.dim() > 2 ? average_per_latent(latents, flat) : flat);
  }
  return torch::cat(layers, -1);
}

Distortion distortion(const Latents& latents, const std::vector<Observation>& observations) {
  const auto optimised = log_likelihood(observations);
  const auto reported = reported_log_likelihood(observations, optimised);
  const auto value = -average(latents, optimised);
  return {.optimised = value, .reported = reported.is_same(optimised) ? value.detach() : -average(latents, reported.detach())};
}

std::vector<Term> elbo_terms(const Distortion& distortion, const Tensor& kl) {
  return {{"bound", -(distortion.reported + kl.detach())}, {"reconstruction", distortion.reported}, {"kl", kl.detach()}};
}

}  // namespace elbo::detail
