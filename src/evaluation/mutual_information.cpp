#include "elbo/evaluation/mutual_information.h"

#include <algorithm>
#include <cmath>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/distributions/normal.h"
#include "rows.h"

namespace elbo {
namespace {

constexpr int64_t kPairsAtOnce = int64_t{1} << 21;  // 16 MiB of densities

/// Posteriors and draws of all rows: N x D numbers a few times.
struct Codes {
  std::vector<DistributionPtr> posteriors = {};  // one a batch
  Tensor z = {};                                 // [N, D]
  Tensor log_q = {};                             // [N] float64, each draw under its own posterior
  Tensor log_p = {};                             // [N] float64
};

const Latent& only_layer(const Latents& latents) {
  if (latents.layers.size() == 1 && latents.layers[0].z.dim() == 3) return latents.layers[0];
  throw UsageError(
      text("metric 'mutual_information' needs one latent layer with one posterior a row; this model has ",
           latents.layers.size() == 1 ? "a posterior of several strata" : text(latents.layers.size(), " latent layers")));
}

Codes codes_of(const EvaluationContext& context) {
  auto& model = detail::as_variational(context, "mutual_information");
  detail::ContextNoise noise(context);
  Codes codes;
  std::vector<Tensor> z;
  detail::Column log_q, log_p;
  detail::for_each_batch(context, context.batch_size, [&](const Batch& batch, int64_t first_row) {
    noise.get().place(first_row, 0);
    const auto latents = model.infer(batch, 1, noise.get());
    const auto& layer = only_layer(latents);
    codes.posteriors.push_back(layer.q->detached());
    z.push_back(layer.z[0].detach());
    log_q.add(layer.q->log_prob(layer.z)[0]);
    log_p.add(layer.p->log_prob(layer.z)[0].expand({batch.size()}));
  });
  codes.z = torch::cat(z);
  codes.log_q = log_q.whole();
  codes.log_p = log_p.whole();
  return codes;
}

class MutualInformationMetric final : public Metric {
 public:
  void check(const EvaluationContext& context) const override { detail::as_variational(context, "mutual_information"); }

  std::vector<Measurement> evaluate(const EvaluationContext& context) const override {
    const auto result = aggregate_posterior(context);
    const auto N = result.mutual_information.size(0);
    auto information = measure("mutual_information", "nats", result.mutual_information);
    char cap[32];
    std::snprintf(cap, sizeof cap, "%.4f", std::log(static_cast<double>(N)));
    information.note =
        text("between a code and which of ", with_commas(N), " rows it came from; at most log ", with_commas(N), " = ", cap);
    return {information, measure("marginal_kl", "nats", result.marginal_kl)};
  }
};

}  // namespace

Tensor pairwise_log_prob(const Distribution& q, const Tensor& z) {
  const auto value = z.to(at::kDouble);
  if (const auto* normal = dynamic_cast<const Normal*>(&q); normal && normal->log_var().dim() == 2) {
    // (z - m)^2 / v multiplied out: two matrix products instead of n x B x D numbers. Taken relative to the mean of the means,
    // and only where what cancels is small enough to leave eight digits behind the point.
    constexpr double kLargestTerm = 1e7;
    const auto mean = normal->mean().to(at::kDouble), log_var = normal->log_var().to(at::kDouble);
    const auto centre = mean.mean(0);
    const auto from = value - centre, to = mean - centre;
    const auto precision = (-log_var).exp();  // [B, D]
    const auto largest = torch::maximum(from.square().amax(0), to.square().amax(0)) * precision.amax(0);
    if (largest.max().item<double>() < kLargestTerm) {
      const auto constant = (to.square() * precision + log_var + std::log(2 * M_PI)).sum(1);
      return -0.5 * (torch::matmul(from.square(), precision.t()) - 2 * torch::matmul(from, (to * precision).t()) + constant);
    }
    return Normal(mean, log_var).log_prob(value.unsqueeze(1));
  }
  return q.log_prob(z.unsqueeze(1)).to(at::kDouble);
}

AggregatePosterior aggregate_posterior(const EvaluationContext& context) {
  const torch::NoGradGuard no_grad;
  const auto codes = codes_of(context);
  const auto N = codes.z.size(0), D = codes.z[0].numel();
  int64_t largest = 1;
  for (const auto& q : codes.posteriors) largest = std::max(largest, q->batch_shape().at(0));
  const auto chunk = std::max<int64_t>(1, kPairsAtOnce / (largest * D));
  std::vector<Tensor> log_aggregate;
  for (int64_t first = 0; first < N; first += chunk) {
    const auto z = codes.z.narrow(0, first, std::min(chunk, N - first));
    Tensor sum;  // log of the sum so far
    for (const auto& q : codes.posteriors) {
      const auto part = torch::logsumexp(pairwise_log_prob(*q, z), 1);
      sum = sum.defined() ? torch::logaddexp(sum, part) : part;
    }
    log_aggregate.push_back((sum - std::log(static_cast<double>(N))).cpu());
    if (context.progress) {
      context.progress({.metric = "mutual_information", .done = std::min(first + chunk, N), .total = N, .unit = "img"});
    }
  }
  const auto log_q = torch::cat(log_aggregate);
  return {.mutual_information = codes.log_q - log_q, .marginal_kl = log_q - codes.log_p};
}

std::shared_ptr<Metric> make_mutual_information_metric(const NoConfig&) { return std::make_shared<MutualInformationMetric>(); }

}  // namespace elbo
