#include "elbo/aggregators/aggregator.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/distributions/laplace.h"
#include "elbo/distributions/normal.h"

namespace elbo {
namespace {

Tensor column(const Tensor& present) { return present.unsqueeze(-1); }

/// Mean and log-variance of a family that has experts; undefined of another.
Expert moments_of(const Distribution& q) {
  if (const auto* normal = dynamic_cast<const Normal*>(&q)) {
    return {.mean = normal->mean(), .log_var = normal->log_var().expand_as(normal->mean())};
  }
  if (const auto* standard = dynamic_cast<const StandardNormal*>(&q)) {
    const auto mean = standard->mean();
    return {.mean = mean, .log_var = mean};
  }
  if (const auto* laplace = dynamic_cast<const Laplace*>(&q)) {
    return {.mean = laplace->mean(),
            .log_var = (2 * laplace->log_scale() + std::numbers::ln2).expand_as(laplace->mean()),
            .family = ExpertFamily::laplace};
  }
  return {};
}

/// Whether any, or all, of these rows are there; undefined = everywhere.
Tensor all_present(const std::vector<Expert>& experts) {
  Tensor all;
  for (const auto& expert : experts) {
    if (expert.present.defined()) all = all.defined() ? all & expert.present : expert.present;
  }
  return all;
}
Tensor any_present(const std::vector<Expert>& experts) {
  Tensor any;
  for (const auto& expert : experts) {
    if (!expert.present.defined()) return {};
    any = any.defined() ? any | expert.present : expert.present;
  }
  return any;
}

std::vector<Expert> chosen(const std::vector<Expert>& experts, const Subset& names) {
  std::vector<Expert> members;
  for (const auto& expert : experts) {
    if (std::find(names.begin(), names.end(), expert.name) != names.end()) members.push_back(expert);
  }
  return members;
}

Tensor everywhere(const Expert& expert) {
  return torch::ones({expert.mean.size(0)}, torch::dtype(torch::kBool).device(expert.mean.device()));
}

}  // namespace

DistributionPtr make_distribution(ExpertFamily family, Tensor mean, Tensor log_var) {
  if (family == ExpertFamily::normal) return std::make_shared<Normal>(std::move(mean), std::move(log_var));
  auto log_scale = 0.5 * (log_var - std::numbers::ln2);  // the variance of a Laplace is 2 scale^2
  return std::make_shared<Laplace>(std::move(mean), std::move(log_scale));
}

DistributionPtr Expert::distribution() const { return make_distribution(family, mean, log_var); }

Expert expert_of(std::string name, const Distribution& posterior, const Tensor& present, const Distribution* absent) {
  auto expert = moments_of(posterior);
  if (!expert.mean.defined()) {
    throw ConfigError(text("the posterior of '", name, "' is '", posterior.name(),
                           "', which has no mean and variance to aggregate; choose posterior normal or laplace"));
  }
  expert.name = std::move(name);
  expert.present = present;
  if (!present.defined()) return expert;
  auto instead = absent ? moments_of(*absent) : Expert{};
  if (!instead.mean.defined() || instead.family != expert.family) {
    instead.mean = instead.log_var = torch::zeros({}, expert.mean.options().requires_grad(false));
  }
  expert.mean = torch::where(present.unsqueeze(-1), expert.mean, instead.mean);
  expert.log_var = torch::where(present.unsqueeze(-1), expert.log_var, instead.log_var);
  return expert;
}

Expert product(const std::vector<Expert>& experts, const Tensor& prior) {
  if (experts.empty()) throw UsageError("a product of no experts");
  const auto any = any_present(experts);
  if (experts.size() == 1 && !prior.defined()) {  // itself, to the bit; experts hold N(0, I) where they are absent
    auto alone = experts.front();
    alone.present = Tensor();
    return alone;
  }
  std::vector<Tensor> logits, means;
  for (const auto& expert : experts) {
    if (expert.family != ExpertFamily::normal) {
      throw ConfigError(
          "a product of experts has a closed form for normal posteriors, these are laplace: choose aggregation moe, "
          "or posterior normal");
    }
    const auto precision = -expert.log_var;
    logits.push_back(expert.present.defined() ? torch::where(column(expert.present), precision, -INFINITY) : precision);
    means.push_back(expert.mean);
  }
  auto with_prior = prior;
  if (any.defined()) with_prior = with_prior.defined() ? with_prior | ~any : ~any;
  if (with_prior.defined()) {
    const auto zero = torch::zeros_like(means.front());
    logits.push_back(torch::where(column(with_prior), zero, -INFINITY));
    means.push_back(zero);
  }
  const auto precisions = torch::stack(logits);
  return {.name = "product",
          .mean = (precisions.softmax(0) * torch::stack(means)).sum(0),
          .log_var = -torch::logsumexp(precisions, 0)};
}

DistributionPtr Aggregator::posterior(const std::vector<Expert>& experts) const {
  Subset given;
  for (const auto& expert : experts) given.push_back(expert.name);
  const auto subsets = components(given);
  if (subsets.empty()) {
    throw UsageError(text("aggregation '", name(), "' makes no q(z | x) of ", given.empty() ? "nothing" : join(given, ", ")));
  }
  std::vector<Tensor> means, log_vars, weights;
  bool masked = false;
  for (const auto& subset : subsets) {
    const auto members = chosen(experts, subset);
    const auto there = drops_absent() ? any_present(members) : all_present(members);
    Tensor prior;
    const bool full = subset.size() == modalities_.size();
    if (prior_expert() == PriorExpert::always || (prior_expert() == PriorExpert::full_only && full)) {
      const auto all = all_present(members);
      prior = prior_expert() == PriorExpert::full_only && all.defined() ? all : everywhere(members.front());
    }
    const auto made = product(members, prior);
    if (subsets.size() == 1) return made.distribution();
    means.push_back(made.mean);
    log_vars.push_back(made.log_var);
    masked = masked || there.defined();
    const auto zero = torch::zeros({made.mean.size(0)}, made.mean.options().requires_grad(false));
    weights.push_back(there.defined() ? torch::where(there, zero, -INFINITY) : zero);
  }
  auto log_weight = torch::stack(weights);
  if (masked) log_weight = torch::where((log_weight == -INFINITY).all(0), torch::zeros({}, log_weight.options()), log_weight);
  auto mixture = std::make_shared<StratifiedMixture>(
      make_distribution(experts.front().family, torch::stack(means), torch::stack(log_vars)), log_weight);
  if (draw() == MixtureDraw::one) return std::make_shared<AncestralMixture>(std::move(mixture));
  return mixture;
}

}  // namespace elbo
