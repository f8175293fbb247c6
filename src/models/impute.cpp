#include "elbo/models/impute.h"

#include "elbo/base/error.h"
#include "elbo/distributions/categorical.h"
#include "elbo/distributions/columns.h"

namespace elbo {
namespace {

/// Expectation over samples. Shapes: t [N, B, ...], weight [N, B] -> [B, ...].
Tensor weighted(const Tensor& t, const Tensor& weight) {
  auto w = weight;
  while (w.dim() < t.dim()) w = w.unsqueeze(-1);
  return (w * t).sum(0);
}

/// [K, B, ...] as it is, [S, K, B, ...] with strata and samples in one.
Tensor joined_samples(const Tensor& t, int64_t sample_dims) { return sample_dims == 2 ? t.flatten(0, 1) : t; }

Tensor expected(const Distribution& likelihood, const Tensor& weight, int64_t sample_dims) {
  if (const auto* classes = dynamic_cast<const Categorical*>(&likelihood)) {
    const auto probabilities = classes->log_probabilities().exp().movedim(classes->class_dim(), -1);
    return weighted(joined_samples(probabilities, sample_dims), weight).argmax(-1);
  }
  if (const auto* columns = dynamic_cast<const Columns*>(&likelihood)) {
    std::vector<Tensor> parts;
    for (const auto& part : columns->parts()) parts.push_back(expected(*part.distribution, weight, sample_dims));
    return columns->in_table_order(parts);
  }
  return weighted(joined_samples(likelihood.mean(), sample_dims), weight);
}

}  // namespace

Tensor impute(Variational& model, const Batch& batch, int64_t K, Noise& noise) {
  const auto& x = batch.fields.at("x");
  if (!x.valid.defined()) return x.value;
  const auto latents = model.infer(batch, K, noise);
  const auto observations = model.decode(latents, batch);
  if (observations.size() != 1) throw UsageError("impute: needs a model of one field, this one has several");
  auto log_w = log_weights(latents, log_likelihood(observations));
  if (latents.log_weight.defined()) log_w = log_w + latents.log_weight;
  const auto sample_dims = log_w.dim() - 1;
  const auto weight = torch::softmax(joined_samples(log_w, sample_dims), 0);
  const auto filled = expected(*observations[0].likelihood, weight, sample_dims).to(x.value.scalar_type());
  return torch::where(x.valid, x.value, filled);
}

}  // namespace elbo
