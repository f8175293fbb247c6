#include "elbo/distributions/kl.h"

#include <functional>
#include <map>

#include "elbo/base/error.h"
#include "elbo/distributions/bernoulli.h"
#include "elbo/distributions/categorical.h"
#include "elbo/distributions/normal.h"

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

Tensor categorical_categorical(const Categorical& q, const Categorical& p) {
  if (q.num_classes() != p.num_classes()) {
    throw ShapeError("kl: categorical with " + std::to_string(q.num_classes()) + " classes against one with " +
                     std::to_string(p.num_classes()));
  }
  const auto last = [](const Categorical& d) { return d.log_probabilities().movedim(d.class_dim(), -1); };
  return weighed_ratio(last(q), last(p)).sum(-1);
}

using PerUnit = std::function<Tensor(const Distribution&, const Distribution&)>;

template <class Q, class P>
PerUnit of(Tensor (*formula)(const Q&, const P&)) {
  return [formula](const Distribution& q, const Distribution& p) {
    return formula(dynamic_cast<const Q&>(q), dynamic_cast<const P&>(p));
  };
}

const PerUnit* find_formula(const Distribution& q, const Distribution& p) {
  static const std::map<std::pair<std::string_view, std::string_view>, PerUnit> table = {
      {{"bernoulli", "bernoulli"}, of(bernoulli_bernoulli)},
      {{"categorical", "categorical"}, of(categorical_categorical)},
      {{"normal", "normal"}, of(normal_normal)},
      {{"normal", "standard_normal"}, of(normal_standard)},
      {{"standard_normal", "normal"}, of(standard_normal)},
      {{"standard_normal", "standard_normal"}, of(standard_standard)},
  };
  const auto entry = table.find({q.name(), p.name()});
  return entry == table.end() ? nullptr : &entry->second;
}

std::string pair_text(const Distribution& q, const Distribution& p) {
  return "KL('" + std::string(q.name()) + "' || '" + std::string(p.name()) + "')";
}

}  // namespace

bool has_closed_form_kl(const Distribution& q, const Distribution& p) { return find_formula(q, p) != nullptr; }

Tensor kl_per_unit(const Distribution& q, const Distribution& p) {
  const auto* formula = find_formula(q, p);
  if (!formula) throw UsageError(pair_text(q, p) + " has no closed form here: use monte_carlo_kl(q, p, z) with z drawn from q");
  if (q.event_shape() != p.event_shape()) {
    throw ShapeError(pair_text(q, p) + ": events " + shape_text(q.event_shape()) + " and " + shape_text(p.event_shape()) +
                     " differ");
  }
  // A formula may use a shared variance or a constant prior: the shape is that of the pair.
  const auto batch = at::infer_size(q.batch_shape(), p.batch_shape());
  return (*formula)(q, p).expand(joined(batch, q.event_shape()));
}

Tensor kl(const Distribution& q, const Distribution& p) {
  return sum_last(kl_per_unit(q, p), static_cast<int64_t>(q.event_shape().size()));
}

Tensor monte_carlo_kl(const Distribution& q, const Distribution& p, const Tensor& z) { return q.log_prob(z) - p.log_prob(z); }

}  // namespace elbo
