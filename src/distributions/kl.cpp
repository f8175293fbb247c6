#include "elbo/distributions/kl.h"

#include <ATen/ops/linalg_solve_triangular.h>

#include <functional>
#include <map>

#include "elbo/base/error.h"
#include "elbo/distributions/bernoulli.h"
#include "elbo/distributions/categorical.h"
#include "elbo/distributions/continuous_bernoulli.h"
#include "elbo/distributions/laplace.h"
#include "elbo/distributions/log_normal.h"
#include "elbo/distributions/multivariate_normal.h"
#include "elbo/distributions/normal.h"
#include "elbo/distributions/one_hot_categorical.h"
#include "elbo/distributions/poisson.h"
#include "elbo/distributions/stratified_mixture.h"
#include "elbo/distributions/transformed.h"
#include "elbo/ops/normal.h"

namespace elbo {
namespace {

// One function a pair, before the sum over the event: [batch..., event...]. Letters: q to p, m mean, v variance.

Tensor normal_normal(const Normal& q, const Normal& p) {
  // (log(vp / vq) + (vq + (mq - mp)^2) / vp - 1) / 2
  const auto inverse_vp = (-p.log_var()).exp();
  const auto log_ratio = p.log_var() - q.log_var();
  return 0.5 * (log_ratio + (-log_ratio).exp() + (q.mean() - p.mean()).square() * inverse_vp - 1);
}

Tensor normal_standard(const Normal& q, const StandardNormal&) {
  return 0.5 * (q.mean().square() + q.log_var().exp() - q.log_var() - 1);
}

Tensor normal_standard_summed(const Normal& q, const StandardNormal&) {
  return normal_kl_to_standard(q.mean(), q.log_var(), static_cast<int64_t>(q.event_shape().size()));
}

Tensor standard_normal(const StandardNormal&, const Normal& p) {
  return 0.5 * (p.log_var() + (1 + p.mean().square()) * (-p.log_var()).exp() - 1);
}

Tensor standard_standard(const StandardNormal& q, const StandardNormal& p) { return q.mean() * p.mean(); }

/// probability * (log_q - log_p) with 0 log 0 = 0, and infinite where p excludes what q allows.
Tensor weighed_ratio(const Tensor& log_q, const Tensor& log_p) {
  const auto probability = log_q.exp();
  return probability * torch::where(probability == 0, 0.0, log_q - log_p);
}

Tensor bernoulli_bernoulli(const Bernoulli& q, const Bernoulli& p) {
  return weighed_ratio(torch::log_sigmoid(q.logits()), torch::log_sigmoid(p.logits())) +
         weighed_ratio(torch::log_sigmoid(-q.logits()), torch::log_sigmoid(-p.logits()));
}

void check_classes(int64_t of_q, int64_t of_p) {
  if (of_q == of_p) return;
  throw ShapeError("kl: categorical with " + std::to_string(of_q) + " classes against one with " + std::to_string(of_p));
}

Tensor categorical_categorical(const Categorical& q, const Categorical& p) {
  check_classes(q.num_classes(), p.num_classes());
  const auto last = [](const Categorical& d) { return d.log_probabilities().movedim(d.class_dim(), -1); };
  return weighed_ratio(last(q), last(p)).sum(-1);
}

Tensor continuous_bernoulli_pair(const ContinuousBernoulli& q, const ContinuousBernoulli& p) {
  return q.mean() * (q.logits() - p.logits()) - q.log_normaliser() + p.log_normaliser();
}

Tensor laplace_laplace(const Laplace& q, const Laplace& p) {
  // log(bp / bq) + (|d| + bq exp(-|d| / bq)) / bp - 1, b the scales and d the distance of the means
  const auto distance = (q.mean() - p.mean()).abs();
  const auto log_ratio = q.log_scale() - p.log_scale();
  return distance * (-p.log_scale()).exp() + (log_ratio - distance * (-q.log_scale()).exp()).exp() - log_ratio - 1;
}

Tensor log_normal_pair(const LogNormal& q, const LogNormal& p) { return normal_normal(q.log(), p.log()); }

Tensor poisson_poisson(const Poisson& q, const Poisson& p) {
  // rq (log rq - log rp) - rq + rp; by expm1, which doesn't cancel where the rates are close
  const auto log_ratio = p.log_rate() - q.log_rate();
  return q.mean() * (log_ratio.expm1() - log_ratio);
}

// One function a pair that doesn't factorise over the event: [batch...].

Tensor one_hot_pair(const OneHotCategorical& q, const OneHotCategorical& p) {
  return sum_last(weighed_ratio(q.log_probabilities(), p.log_probabilities()), static_cast<int64_t>(q.event_shape().size()));
}

Tensor multivariate_pair(const MultivariateNormal& q, const MultivariateNormal& p) {
  // log |Lp| - log |Lq| + (|Lp^-1 Lq|^2 + |Lp^-1 (mq - mp)|^2 - D) / 2
  const auto ratio = at::linalg_solve_triangular(p.scale_tril(), q.scale_tril(), /*upper=*/false);
  const auto distance = ratio.square().sum({-1, -2}) + p.whitened(q.mean()).square().sum(-1);
  return p.log_det_scale() - q.log_det_scale() + 0.5 * (distance - static_cast<double>(q.event_shape().back()));
}

MultivariateNormal full(const Normal& d) { return {d.mean(), torch::diag_embed((0.5 * d.log_var()).exp().expand_as(d.mean()))}; }
MultivariateNormal full(const StandardNormal& d) {
  const auto mean = d.mean();
  return {mean, torch::eye(mean.size(-1), mean.options())};
}

using Formula = std::function<Tensor(const Distribution&, const Distribution&)>;
using Table = std::map<std::pair<std::string_view, std::string_view>, Formula>;

template <class Q, class P>
Formula of(Tensor (*formula)(const Q&, const P&)) {
  return [formula](const Distribution& q, const Distribution& p) {
    return formula(dynamic_cast<const Q&>(q), dynamic_cast<const P&>(p));
  };
}

template <class Q>
Formula to_multivariate() {
  return [](const Distribution& q, const Distribution& p) {
    return multivariate_pair(full(dynamic_cast<const Q&>(q)), dynamic_cast<const MultivariateNormal&>(p));
  };
}

template <class P>
Formula from_multivariate() {
  return [](const Distribution& q, const Distribution& p) {
    return multivariate_pair(dynamic_cast<const MultivariateNormal&>(q), full(dynamic_cast<const P&>(p)));
  };
}

const Table& factorising() {
  static const Table table = {
      {{"bernoulli", "bernoulli"}, of(bernoulli_bernoulli)},
      {{"categorical", "categorical"}, of(categorical_categorical)},
      {{"continuous_bernoulli", "continuous_bernoulli"}, of(continuous_bernoulli_pair)},
      {{"laplace", "laplace"}, of(laplace_laplace)},
      {{"log_normal", "log_normal"}, of(log_normal_pair)},
      {{"normal", "normal"}, of(normal_normal)},
      {{"normal", "standard_normal"}, of(normal_standard)},
      {{"poisson", "poisson"}, of(poisson_poisson)},
      {{"standard_normal", "normal"}, of(standard_normal)},
      {{"standard_normal", "standard_normal"}, of(standard_standard)},
  };
  return table;
}

const Table& joint() {
  static const Table table = {
      {{"multivariate_normal", "multivariate_normal"}, of(multivariate_pair)},
      {{"multivariate_normal", "normal"}, from_multivariate<Normal>()},
      {{"multivariate_normal", "standard_normal"}, from_multivariate<StandardNormal>()},
      {{"normal", "multivariate_normal"}, to_multivariate<Normal>()},
      {{"normal", "standard_normal"}, of(normal_standard_summed)},  // one pass: nearly every VAE's KL
      {{"one_hot_categorical", "one_hot_categorical"}, of(one_hot_pair)},
      {{"standard_normal", "multivariate_normal"}, to_multivariate<StandardNormal>()},
  };
  return table;
}

const Formula* find(const Table& table, const Distribution& q, const Distribution& p) {
  const auto entry = table.find({q.name(), p.name()});
  return entry == table.end() ? nullptr : &entry->second;
}

struct Pair {
  const Distribution& q;
  const Distribution& p;
};

/// A bijection of both changes no divergence: the pair below all that they share.
Pair without_shared_bijectors(const Distribution& q, const Distribution& p) {
  const auto* a = dynamic_cast<const TransformedDistribution*>(&q);
  const auto* b = dynamic_cast<const TransformedDistribution*>(&p);
  if (!a || !b || a->bijector() != b->bijector()) return {q, p};
  return without_shared_bijectors(*a->base(), *b->base());
}

std::string pair_text(const Distribution& q, const Distribution& p) {
  return "KL('" + std::string(q.name()) + "' || '" + std::string(p.name()) + "')";
}

void check_events(const Distribution& q, const Distribution& p) {
  if (q.event_shape() == p.event_shape()) return;
  throw ShapeError(pair_text(q, p) + ": events " + shape_text(q.event_shape()) + " and " + shape_text(p.event_shape()) +
                   " differ");
}

}  // namespace

bool has_closed_form_kl(const Distribution& q, const Distribution& p) {
  if (const auto* strata = mixture_of(q)) return has_closed_form_kl(*strata->components(), p);
  const auto pair = without_shared_bijectors(q, p);
  return find(factorising(), pair.q, pair.p) || find(joint(), pair.q, pair.p);
}

Tensor kl_per_unit(const Distribution& q, const Distribution& p) {
  if (const auto* strata = mixture_of(q)) {
    return strata->average(kl_per_unit(*strata->components(), p));
  }
  const auto pair = without_shared_bijectors(q, p);
  const auto* formula = find(factorising(), pair.q, pair.p);
  if (!formula && find(joint(), pair.q, pair.p)) {
    throw UsageError(pair_text(q, p) + " does not factorise over the event, so it has no units: use kl(q, p)");
  }
  if (!formula) throw UsageError(pair_text(q, p) + " has no closed form here: use monte_carlo_kl(q, p, z) with z drawn from q");
  check_events(q, p);
  // A formula may use a shared variance or a constant prior: the shape is that of the pair.
  const auto batch = at::infer_size(q.batch_shape(), p.batch_shape());
  return (*formula)(pair.q, pair.p).expand(joined(batch, q.event_shape()));
}

Tensor kl(const Distribution& q, const Distribution& p) {
  if (const auto* strata = mixture_of(q)) return strata->average(kl(*strata->components(), p));
  const auto pair = without_shared_bijectors(q, p);
  const auto* formula = find(joint(), pair.q, pair.p);
  if (!formula) return sum_last(kl_per_unit(q, p), static_cast<int64_t>(q.event_shape().size()));
  check_events(q, p);
  return (*formula)(pair.q, pair.p).expand(at::infer_size(q.batch_shape(), p.batch_shape()));
}

Tensor monte_carlo_kl(const Distribution& q, const Distribution& p, const Tensor& z) { return q.log_prob(z) - p.log_prob(z); }

}  // namespace elbo
