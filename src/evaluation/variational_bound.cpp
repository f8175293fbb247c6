#include "elbo/evaluation/variational_bound.h"

#include "elbo/base/text.h"
#include "elbo/distributions/kl.h"
#include "rows.h"

namespace elbo {
namespace {

class ElboMetric final : public Metric {
 public:
  void check(const EvaluationContext& context) const override { detail::as_variational(context, "elbo"); }

  std::vector<Measurement> evaluate(const EvaluationContext& context) const override {
    const auto terms = bound_terms(context);
    auto elbo = measure("elbo", "nats", terms.elbo);
    auto kl = measure("kl", "nats", terms.kl);
    if (!terms.monte_carlo_layers.empty()) {
      kl.note = "Monte Carlo from one sample for " + join(terms.monte_carlo_layers, ", ") + ": this KL has no closed form";
      elbo.note = kl.note;
    }
    return {elbo, measure("reconstruction", "nats", terms.reconstruction), kl};
  }
};

}  // namespace

BoundTerms bound_terms(Variational& model, const Batch& batch, int64_t K, Noise& noise) {
  const torch::NoGradGuard no_grad;
  const auto latents = model.infer(batch, K, noise);
  BoundTerms terms;
  terms.reconstruction = -average(latents, log_likelihood(model.decode(latents, batch))).to(at::kCPU, at::kDouble);
  terms.kl = torch::zeros_like(terms.reconstruction);
  for (const auto& layer : latents.layers) {
    const bool closed = has_closed_form_kl(*layer.q, *layer.p);
    auto term = closed ? kl(*layer.q, *layer.p) : monte_carlo_kl(*layer.q, *layer.p, layer.z);
    if (term.dim() > 1) term = average(latents, term);
    terms.kl += term.to(at::kCPU, at::kDouble);
    if (!closed) terms.monte_carlo_layers.push_back(layer.name);
  }
  terms.elbo = -(terms.reconstruction + terms.kl);
  return terms;
}

BoundTerms bound_terms(const EvaluationContext& context) {
  auto& model = detail::as_variational(context, "elbo");
  detail::ContextNoise noise(context, context.elbo_noise);
  detail::Column elbo, reconstruction, kl;
  BoundTerms whole;
  detail::for_each_batch(context, "elbo", [&](const Batch& batch, int64_t first_row) {
    noise.get().place(first_row, 0);
    auto terms = bound_terms(model, batch, 1, noise.get());
    elbo.add(terms.elbo);
    reconstruction.add(terms.reconstruction);
    kl.add(terms.kl);
    whole.monte_carlo_layers = std::move(terms.monte_carlo_layers);
  });
  whole.elbo = elbo.whole();
  whole.reconstruction = reconstruction.whole();
  whole.kl = kl.whole();
  return whole;
}

std::shared_ptr<Metric> make_elbo_metric(const NoConfig&) { return std::make_shared<ElboMetric>(); }

}  // namespace elbo
