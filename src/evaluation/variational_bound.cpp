#include "elbo/evaluation/variational_bound.h"

#include "elbo/base/text.h"
#include "elbo/distributions/kl.h"
#include "rows.h"

namespace elbo {
namespace {

/// Unweighted, of a proper likelihood whatever training optimises.
Tensor reported(const std::vector<Observation>& observations) {
  return reported_log_likelihood(observations, log_likelihood(observations));
}

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
    std::vector<Measurement> measured = {elbo, measure("reconstruction", "nats", terms.reconstruction), kl};
    for (const auto& [name, values] : terms.reconstruction_of) {
      const auto& present = terms.present.at(name);
      if (!present.any().item<bool>()) continue;
      const bool whole = present.all().item<bool>();
      measured.push_back(measure("reconstruction(" + name + ")", "nats", whole ? values : values.masked_select(present)));
      if (whole) continue;
      measured.back().note = text("of the ", count_of(present.sum().item<int64_t>(), "example"), " that have it");
      measured.back().per_example = Tensor();
    }
    return measured;
  }
};

}  // namespace

BoundTerms bound_terms(Variational& model, const Batch& batch, int64_t K, Noise& noise) {
  const torch::NoGradGuard no_grad;
  const auto latents = model.infer(batch, K, noise);
  BoundTerms terms;
  const auto observations = model.decode(latents, batch);
  terms.reconstruction = -average(latents, reported(observations)).to(at::kCPU, at::kDouble);
  for (const auto& observation : observations) {
    if (observations.size() == 1) break;
    terms.reconstruction_of[observation.name] = -average(latents, reported({observation})).to(at::kCPU, at::kDouble);
    if (observation.mask.defined()) terms.present[observation.name] = observation.mask.cpu();
  }
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
  std::map<std::string, detail::Column> reconstruction_of, present;
  BoundTerms whole;
  detail::for_each_batch(context, "elbo", [&](const Batch& batch, int64_t first_row) {
    noise.get().place(first_row, 0);
    auto terms = bound_terms(model, batch, 1, noise.get());
    elbo.add(terms.elbo);
    reconstruction.add(terms.reconstruction);
    kl.add(terms.kl);
    for (const auto& [name, values] : terms.reconstruction_of) {
      reconstruction_of[name].add(values);
      const auto mask = terms.present.find(name);
      present[name].add(mask == terms.present.end() ? torch::ones_like(values) : mask->second);
    }
    whole.monte_carlo_layers = std::move(terms.monte_carlo_layers);
  });
  whole.elbo = elbo.whole();
  whole.reconstruction = reconstruction.whole();
  whole.kl = kl.whole();
  for (const auto& [name, column] : reconstruction_of) whole.reconstruction_of[name] = column.whole();
  for (const auto& [name, column] : present) whole.present[name] = column.whole() > 0;
  return whole;
}

std::shared_ptr<Metric> make_elbo_metric(const NoConfig&) { return std::make_shared<ElboMetric>(); }

}  // namespace elbo
