#include "elbo/models/family.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "elbo/base/error.h"
#include "elbo/math/numeric.h"

namespace elbo {

Tensor Quantized::code_length(const std::vector<Tensor>& codes, const Batch& /*batch*/, Noise& /*noise*/) {
  const auto levels = quantizers();
  Tensor length;
  for (size_t i = 0; i < codes.size(); ++i) {
    const auto of_level = levels.at(i)->code_length(codes[i]);
    length = length.defined() ? length + of_level : of_level;
  }
  return length;
}
namespace {

constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();

Tensor log_prob_of(const Observation& observation, const Distribution& likelihood) {
  return observation.valid.defined() ? likelihood.log_prob(observation.target, observation.valid)
                                     : likelihood.log_prob(observation.target);
}

/// Whether an observation's factor counts: what is reported leaves it out.
enum class Weights { applied, one };

/// Sum over the observations of the log-density under the distribution that `chosen` picks of each.
template <class Choose>
Tensor summed(const std::vector<Observation>& observations, Weights weights, const Choose& chosen) {
  Tensor total;
  for (const auto& observation : observations) {
    auto log_prob = log_prob_of(observation, *chosen(observation));
    if (weights == Weights::applied && observation.weight != 1) log_prob = log_prob * observation.weight;
    if (observation.mask.defined()) log_prob = torch::where(observation.mask, log_prob, torch::zeros({}, log_prob.options()));
    total = total.defined() ? total + log_prob : log_prob;
  }
  return total;
}

}  // namespace

Tensor log_likelihood(const std::vector<Observation>& observations) {
  return summed(observations, Weights::applied, [](const Observation& observation) { return observation.likelihood; });
}

Tensor reported_log_likelihood(const std::vector<Observation>& observations, const Tensor& optimised) {
  const bool differs =
      std::any_of(observations.begin(), observations.end(), [](const Observation& o) { return o.reported || o.weight != 1; });
  if (!differs) return optimised;
  const torch::NoGradGuard no_grad;
  return summed(observations, Weights::one, [](const Observation& o) { return o.reported ? o.reported : o.likelihood; });
}

Latents drawn(Latents latents, int64_t B, int64_t K, Noise& noise) {
  Shape leading = {K, B};
  for (const auto& layer : latents.layers) {
    const auto* strata = dynamic_cast<const StratifiedMixture*>(layer.q.get());
    if (!strata) continue;
    if (latents.log_weight.defined()) throw UsageError("several layers of a stratified mixture: only one can have strata");
    leading = {strata->num_components(), K, B};
    latents.log_weight = strata->log_weight().unsqueeze(1);
  }
  for (auto& layer : latents.layers) {
    const auto* strata = dynamic_cast<const StratifiedMixture*>(layer.q.get());
    layer.z = strata ? strata->rsample_stratified(K, noise) : layer.q->rsample(leading, noise);
  }
  return latents;
}

Tensor log_weights(const Latents& latents, const Tensor& log_likelihood, PosteriorGradient gradient) {
  auto log_w = log_likelihood;
  for (const auto& layer : latents.layers) {
    const auto q = gradient == PosteriorGradient::live ? layer.q : layer.q->detached();
    log_w = log_w + layer.p->log_prob(layer.z) - q->log_prob(layer.z);
  }
  return log_w;
}

Tensor average(const Latents& latents, const Tensor& t) {
  if (t.dim() == 2) return t.mean(0);
  const auto over_samples = t.mean(1);  // [S, B]
  if (!latents.log_weight.defined()) return over_samples.mean(0);
  const auto log_weight = latents.log_weight.squeeze(1);
  const auto available = log_weight > kMinusInfinity;
  return torch::where(available, over_samples * log_weight.exp(), torch::zeros({}, t.options())).sum(0);
}

Tensor log_mean_exp(const Latents& latents, const Tensor& log_w, Strata strata) {
  if (log_w.dim() == 2) return log_mean_exp(log_w, 0);
  if (strata == Strata::apart) return average(latents, log_mean_exp(log_w, 1).unsqueeze(1));
  const auto S = log_w.size(0);
  const auto K = log_w.size(1);
  if (!latents.log_weight.defined()) return torch::logsumexp(log_w.flatten(0, 1), 0) - std::log(static_cast<double>(S * K));
  const auto available = (latents.log_weight > kMinusInfinity).expand_as(log_w);
  const auto weighted = torch::where(available, log_w + latents.log_weight, torch::full({}, kMinusInfinity, log_w.options()));
  return torch::logsumexp(weighted.flatten(0, 1), 0) - std::log(static_cast<double>(K));
}

Tensor normalised_weights(const Latents& latents, const Tensor& log_w, Strata strata) {
  const auto flat = log_w.detach();
  if (flat.dim() == 2) return torch::softmax(flat, 0);
  if (strata == Strata::apart) return torch::softmax(flat, 1);
  const auto pooled = latents.log_weight.defined()
                          ? torch::where(latents.log_weight == kMinusInfinity, kMinusInfinity, flat + latents.log_weight.detach())
                          : flat;
  return torch::softmax(pooled.flatten(0, 1), 0).reshape(flat.sizes());
}

}  // namespace elbo
