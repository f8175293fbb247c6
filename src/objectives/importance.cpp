#include "importance.h"

#include "elbo/math/numeric.h"

namespace elbo::detail {
namespace {

/// With the strata's own weights; those that are not available have none.
Tensor in_strata(const Latents& latents, const Tensor& log_w) {
  if (!latents.log_weight.defined()) return log_w;
  return torch::where(latents.log_weight == -INFINITY, -INFINITY, log_w + latents.log_weight);
}

}  // namespace

ImportanceSamples importance_samples(Variational& model, const Batch& batch, int64_t num_samples, Noise& noise,
                                     PosteriorGradient gradient) {
  ImportanceSamples samples{.latents = model.infer(batch, num_samples, noise)};
  const auto observations = model.decode(samples.latents, batch);
  samples.log_p = log_likelihood(observations);
  samples.log_w = log_weights(samples.latents, samples.log_p, gradient);
  const auto reported = reported_log_likelihood(observations, samples.log_p);
  const bool same = reported.is_same(samples.log_p);
  samples.reported_log_p = reported.detach();
  samples.reported_log_w = same ? samples.log_w.detach() : samples.log_w.detach() + (reported - samples.log_p).detach();
  return samples;
}

Tensor mean_of_bounds(const Latents& latents, const Tensor& log_w, int64_t repetitions) {
  if (repetitions == 1) return log_mean_exp(latents, log_w);
  std::vector<Tensor> bounds;
  for (const auto& group : log_w.split(log_w.size(-2) / repetitions, -2)) bounds.push_back(log_mean_exp(latents, group));
  return torch::stack(bounds).mean(0);
}

std::vector<Term> importance_terms(const ImportanceSamples& samples, const Tensor& bound) {
  const torch::NoGradGuard no_grad;
  const auto& log_w = samples.reported_log_w;
  return {{"bound", bound.detach()},
          {"reconstruction", -average(samples.latents, samples.reported_log_p)},
          {"kl", average(samples.latents, samples.reported_log_p - log_w)},
          {"effective_sample_size", effective_sample_size(in_strata(samples.latents, log_w).flatten(0, -2), 0)}};
}

}  // namespace elbo::detail
