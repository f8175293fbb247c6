#include "elbo/objectives/mm_jsd.h"

#include <cmath>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/distributions/kl.h"
#include "elbo/distributions/normal.h"
#include "kl_term.h"
#include "multimodal.h"

namespace elbo {
namespace {

constexpr std::string_view kPrior = "prior";

/// log pi, the modalities in their order and then the prior.
std::vector<double> log_weights_of(const MmJsdConfig& config, const Subset& modalities, const ObjectiveContext& context) {
  auto names = modalities;
  names.emplace_back(kPrior);
  const auto* given = std::get_if<std::map<std::string, double>>(&config.weights);
  if (!given) return std::vector<double>(names.size(), -std::log(static_cast<double>(names.size())));
  std::vector<double> logs;
  double total = 0;
  for (const auto& name : names) {
    const auto found = given->find(name);
    if (found == given->end()) break;
    total += found->second;
    logs.push_back(std::log(found->second));
  }
  constexpr double kTolerance = 1e-6;
  if (logs.size() == names.size() && given->size() == names.size() && std::abs(total - 1) <= kTolerance) return logs;
  throw ConfigError(text(context.objective, ": objective.weights must name ", join(names, ", "), " and add up to 1"));
}

class MmJsd final : public Objective {
 public:
  MmJsd(const MmJsdConfig& config, Multimodal& model, const ObjectiveContext& context)
      : config_(config),
        model_(model),
        log_pi_(log_weights_of(config, model.modalities(), context)),
        beta_("beta", config.beta, context.device) {
    detail::need_aggregation(model, {"moe"}, context);
    if (model.prior_of("z", 1)->name() != "standard_normal") {
      throw ConfigError(context.objective + " needs model.prior standard_normal: the dynamic prior is a normal");
    }
  }

  LossTerms losses(const Batch& batch, Step& step) override {
    const auto experts = model_.experts(batch, model_.modalities());
    auto latents = model_.posterior(batch, experts);
    const auto M = static_cast<int64_t>(model_.modalities().size());
    const auto all = stacked(experts);  // the prior last
    if (all.family != ExpertFamily::normal) throw ConfigError("objective mm_jsd needs model.posterior normal");
    const auto S = config_.sample_prior ? M + 1 : M;
    latents.layers.front().q = mixture(all, S);
    latents = drawn(std::move(latents), batch.size(), config_.samples, step.noise);
    const auto observations = model_.decode(latents, batch, model_.modalities());
    const auto log_p = log_likelihood(observations);
    const auto js = divergence(all);
    auto loss = -average(latents, log_p) + beta_.tensor() * js;
    const auto own = detail::private_kl(latents);
    if (own.defined()) loss = loss + config_.private_beta * own;

    const torch::NoGradGuard no_grad;
    auto encoders = latents;  // without the prior among them
    encoders.layers.front().q = mixture(all, M);
    encoders.log_weight = static_cast<const StratifiedMixture&>(*encoders.layers.front().q).log_weight().unsqueeze(1);
    const auto reported = reported_log_likelihood(observations, log_p).narrow(0, 0, M);
    LossTerms losses{.loss = loss,
                     .terms = detail::elbo_terms({.reported = -average(encoders, reported)},
                                                 detail::kl_term(encoders, KlEstimator::analytic))};
    losses.terms.push_back({"js", js.detach()});
    return losses;
  }

  std::vector<Scheduled> scheduled() override { return {beta_}; }
  int64_t samples() const override {
    return config_.samples * (static_cast<int64_t>(model_.modalities().size()) + (config_.sample_prior ? 1 : 0));
  }

 private:
  /// All q_v with their weights, the prior last.
  struct Stacked {
    Tensor mean, log_var;  // [M + 1, B, D]
    Tensor log_pi;         // [M + 1, B], normalised over those that are there
    ExpertFamily family = ExpertFamily::normal;
  };

  Stacked stacked(const std::vector<Expert>& experts) const {
    std::vector<Tensor> means, log_vars, logs;
    const auto& first = experts.front().mean;
    const auto constant = [&](double value) { return torch::full({first.size(0)}, value, first.options().requires_grad(false)); };
    for (size_t m = 0; m < experts.size(); ++m) {
      means.push_back(experts[m].mean);
      log_vars.push_back(experts[m].log_var);
      const auto& present = experts[m].present;
      logs.push_back(present.defined() ? torch::where(present, constant(log_pi_[m]), -INFINITY) : constant(log_pi_[m]));
    }
    means.push_back(torch::zeros_like(first));
    log_vars.push_back(torch::zeros_like(first));
    logs.push_back(constant(log_pi_.back()));
    return {torch::stack(means), torch::stack(log_vars), torch::stack(logs).log_softmax(0), experts.front().family};
  }

  /// Of the first S. A row that has none of them gets the first, which is then N(0, I).
  static StratifiedMixturePtr mixture(const Stacked& all, int64_t S) {
    auto log_weight = all.log_pi.narrow(0, 0, S);
    log_weight = torch::where((log_weight == -INFINITY).all(0), torch::zeros({}, log_weight.options()), log_weight);
    return std::make_shared<StratifiedMixture>(
        make_distribution(ExpertFamily::normal, all.mean.narrow(0, 0, S).contiguous(), all.log_var.narrow(0, 0, S).contiguous()),
        log_weight);
  }

  /// sum_v pi_v KL(q_v || f). Shapes: [B].
  static Tensor divergence(const Stacked& all) {
    const auto logits = all.log_pi.unsqueeze(-1) - all.log_var;
    const Normal f((logits.softmax(0) * all.mean).sum(0), -torch::logsumexp(logits, 0));
    const StratifiedMixture every(make_distribution(ExpertFamily::normal, all.mean, all.log_var), all.log_pi);
    return kl(every, f);
  }

  MmJsdConfig config_;
  Multimodal& model_;
  std::vector<double> log_pi_;
  Scheduled beta_;
};

}  // namespace

std::shared_ptr<Objective> make_mm_jsd(const MmJsdConfig& config, Multimodal& model, const ObjectiveContext& context) {
  return std::make_shared<MmJsd>(config, model, context);
}

}  // namespace elbo
