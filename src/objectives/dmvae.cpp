#include "elbo/objectives/dmvae.h"

#include "elbo/distributions/kl.h"
#include "kl_term.h"
#include "multimodal.h"

namespace elbo {
namespace {

class Dmvae final : public Objective {
 public:
  Dmvae(const DmvaeConfig& config, Multimodal& model, const ObjectiveContext& context)
      : config_(config), model_(model), beta_("beta", config.beta, context.device) {
    detail::need_aggregation(model, {"poe"}, context);
  }

  LossTerms losses(const Batch& batch, Step& step) override {
    const auto B = batch.size(), K = config_.samples;
    const auto experts = model_.experts(batch, model_.modalities());
    auto latents = model_.posterior(batch, experts);
    // All together first, then each by itself; every source draws its own private latents too.
    std::vector<DistributionPtr> sources = {latents.layers.front().q};
    for (const auto& expert : experts) {
      sources.push_back(config_.unimodal == UnimodalSource::head ? expert.distribution()
                                                                 : model_.posterior(batch, {expert}).layers.front().q);
    }
    const auto C = static_cast<int64_t>(sources.size());
    std::vector<Tensor> z;
    for (const auto& q : sources) z.push_back(q->rsample({K, B}, step.noise));
    for (auto& layer : latents.layers) {
      layer.z = layer.name == "z" ? torch::stack(z) : layer.q->rsample({C, K, B}, step.noise);  // [C, K, B, D]
    }
    const auto observations = model_.decode(latents, batch, model_.modalities());
    const auto log_p = log_likelihood(observations);  // [C, K, B]
    const auto own = detail::private_kl(latents);
    const auto& p = *latents.layers.front().p;
    Tensor loss;
    for (int64_t c = 0; c < C; ++c) {
      auto of_source = -log_p[c].mean(0) + beta_.tensor() * kl(*sources[static_cast<size_t>(c)], p);
      if (own.defined()) of_source = of_source + config_.private_beta * own;
      if (c > 0) of_source = detail::where_present(experts[static_cast<size_t>(c - 1)], of_source);
      loss = detail::plus(loss, of_source);
    }
    const auto reported = reported_log_likelihood(observations, log_p).detach();
    const auto divergence = detail::kl_term(latents, KlEstimator::analytic);
    return {.loss = loss, .terms = detail::elbo_terms({.reported = -reported[0].mean(0)}, divergence)};
  }

  std::vector<Scheduled> scheduled() override { return {beta_}; }
  int64_t samples() const override { return config_.samples * (1 + static_cast<int64_t>(model_.modalities().size())); }

 private:
  DmvaeConfig config_;
  Multimodal& model_;
  Scheduled beta_;
};

}  // namespace

std::shared_ptr<Objective> make_dmvae(const DmvaeConfig& config, Multimodal& model, const ObjectiveContext& context) {
  return std::make_shared<Dmvae>(config, model, context);
}

}  // namespace elbo
