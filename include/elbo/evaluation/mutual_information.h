#pragma once
#include "elbo/distributions/distribution.h"
#include "elbo/evaluation/metric.h"

namespace elbo {

/// What the code of a row says about which row it is, from one draw z_n ~ q(z | x_n) a row, the aggregate posterior being the
/// mixture over all N rows, the row's own among them: log q(z) = log mean_n q(z | x_n). Source: Hoffman & Johnson 2016 (ELBO
/// surgery), with q(z) by its definition. mutual_information + marginal_kl is the Monte Carlo KL of the same draws, exactly.
/// Units: nats. mutual_information is at most log N, whatever the truth; as the own component is among N it falls short by about
/// (mean over rows of the relative variance of the mixture's estimate) / 2N.
struct AggregatePosterior {
  Tensor mutual_information = {};  // [N] float64: log q(z_n | x_n) - log q(z_n)
  Tensor marginal_kl = {};         // [N] float64: log q(z_n) - log p(z_n)
};

/// Of the split; memory for the parameters of N posteriors, never for N x N densities. Throws: UsageError when the model is not
/// variational or has more than one latent layer or strata.
AggregatePosterior aggregate_posterior(const EvaluationContext& context);

/// log q(z | x_n) of each draw under each row's posterior. Shapes: z [n, D], q with batch [B] -> [n, B] float64. Units: nats.
Tensor pairwise_log_prob(const Distribution& q, const Tensor& z);

/// mutual_information_nats and marginal_kl_nats.
std::shared_ptr<Metric> make_mutual_information_metric(const NoConfig&);

}  // namespace elbo
