#include "elbo/objectives/mmvae_plus.h"

#include <map>

#include "elbo/models/abilities.h"
#include "multimodal.h"

namespace elbo {
namespace {

/// Multiplies the gradient of a draw by its sample's weight once more (doubly reparametrised).
void weigh_gradient(const Tensor& z, const Tensor& weights) {
  if (z.requires_grad()) z.register_hook([w = weights.unsqueeze(-1)](const Tensor& gradient) { return gradient * w; });
}

/// log p(w) - log q(w).
Tensor log_ratio(const Latent& layer, const Tensor& w, bool live) {
  return layer.p->log_prob(w) - (live ? layer.q : layer.q->detached())->log_prob(w);
}

class MmvaePlus final : public Objective {
 public:
  MmvaePlus(const MmvaePlusConfig& config, Multimodal& model, const ObjectiveContext& context)
      : config_(config), model_(model), beta_("beta", config.beta, context.device) {
    detail::need_aggregation(model, {"moe"}, context);
    if (config.cross != CrossReconstruction::auxiliary_prior || model.modalities().size() < 2) return;
    const auto holder = register_module("auxiliary_log_scale", std::make_shared<torch::nn::Module>("auxiliary_log_scale"));
    const torch::NoGradGuard no_grad;
    for (const auto& layer : model.posterior(rows_without_fields(1), {}).layers) {
      if (layer.name == "z") continue;
      const auto name = layer.name.substr(layer.name.find('.') + 1);
      log_scales_[name] = holder->register_parameter(name, torch::zeros(layer.p->event_shape(), layer.p->mean().options()));
    }
  }

  LossTerms losses(const Batch& batch, Step& step) override {
    const bool live = config_.estimator == PathwiseEstimator::standard;
    const auto B = batch.size(), K = config_.samples;
    const auto& names = model_.modalities();
    const auto experts = model_.experts(batch, names);
    auto latents = model_.posterior(batch, experts);
    auto& shared = latents.layers.front();
    const auto* strata = dynamic_cast<const StratifiedMixture*>(shared.q.get());  // of one modality it is no mixture
    shared.z = strata ? strata->rsample_stratified(K, step.noise) : shared.q->rsample({K, B}, step.noise).unsqueeze(0);
    if (strata) latents.log_weight = strata->log_weight().unsqueeze(1);

    const auto M = static_cast<int64_t>(names.size());
    std::map<std::string, Tensor> own;  // w of its own encoder: [M, K, B, W], or [K, B, W] for the source alone
    Tensor log_p;
    for (int64_t n = 0; n < M; ++n) {
      const auto& name = names[static_cast<size_t>(n)];
      auto* layer = private_of(latents, name);
      if (layer) {
        const bool fresh = config_.cross == CrossReconstruction::auxiliary_prior;
        own[name] = layer->q->rsample(fresh ? Shape{K, B} : Shape{M, K, B}, step.noise);
        layer->z =
            fresh ? with_auxiliary(name, own[name], n, M, *layer, experts[static_cast<size_t>(n)].family, step.noise) : own[name];
      }
      log_p = detail::plus(log_p, log_likelihood(model_.decode(latents, batch, {name})));  // [M, K, B]
    }
    const auto q = live ? shared.q : shared.q->detached();
    auto log_w = log_p + beta_.tensor() * shared.p->log_prob(shared.z) - beta_.tensor() * q->log_prob(shared.z);
    if (!own.empty()) log_w = log_w + beta_.tensor() * private_ratio(latents, own, live);
    const auto value = log_mean_exp(latents, log_w, Strata::apart);
    if (config_.estimator == PathwiseEstimator::dreg && torch::GradMode::is_enabled()) {
      const auto weights = normalised_weights(latents, log_w, Strata::apart);
      weigh_gradient(shared.z, weights);
      for (int64_t n = 0; n < M; ++n) {
        const auto found = own.find(names[static_cast<size_t>(n)]);
        if (found != own.end()) weigh_gradient(found->second, found->second.dim() == 3 ? weights[n] : weights);
      }
    }
    return {.loss = -value, .terms = terms(batch, latents, value.detach(), step.noise)};
  }

  std::vector<Scheduled> scheduled() override { return {beta_}; }
  int64_t samples() const override { return config_.samples * static_cast<int64_t>(model_.modalities().size()); }

 private:
  static Latent* private_of(Latents& latents, const std::string& name) {
    for (auto& layer : latents.layers) {
      if (layer.name == detail::private_layer(name)) return &layer;
    }
    return nullptr;
  }

  /// The target's own draw where it is the source, noise of its auxiliary prior elsewhere. Shapes: [K, B, W] -> [M, K, B, W].
  Tensor with_auxiliary(const std::string& name, const Tensor& own, int64_t n, int64_t M, const Latent& layer,
                        ExpertFamily family, Noise& noise) const {
    if (M == 1) return own.unsqueeze(0);
    const auto shape = joined(layer.p->batch_shape(), layer.p->event_shape());
    const auto log_var = (2 * log_scales_.at(name)).to(own.scalar_type()).expand(shape);
    const auto r = make_distribution(family, torch::zeros_like(log_var), log_var.contiguous());
    const auto others = r->rsample(joined({M - 1}, own.sizes().slice(0, 2)), noise);
    return torch::cat({others.narrow(0, 0, n), own.unsqueeze(0), others.narrow(0, n, M - 1 - n)});
  }

  /// log p(w) - log q(w) of the source's own w, or with factorized of all. Shapes: [M, K, B].
  Tensor private_ratio(Latents& latents, const std::map<std::string, Tensor>& own, bool live) const {
    std::vector<Tensor> of_source;
    Tensor of_all;
    for (const auto& name : model_.modalities()) {
      const auto found = own.find(name);
      Tensor ratio;
      if (found != own.end()) ratio = log_ratio(*private_of(latents, name), found->second, live);
      if (config_.cross == CrossReconstruction::factorized) {
        of_all = detail::plus(of_all, ratio);
      } else {
        of_source.push_back(ratio.defined() ? ratio : torch::zeros_like(latents.layers.front().z.select(-1, 0)[0]));
      }
    }
    return config_.cross == CrossReconstruction::factorized ? of_all : torch::stack(of_source);
  }

  /// The ELBO with every private latent from its own posterior, which r_n is not: decoded once more.
  std::vector<Term> terms(const Batch& batch, Latents latents, const Tensor& value, Noise& noise) {
    const torch::NoGradGuard no_grad;
    const auto leading = latents.layers.front().z.sizes().slice(0, 3);
    if (config_.cross == CrossReconstruction::auxiliary_prior) {
      for (auto& layer : latents.layers) {
        if (layer.name != "z") layer.z = layer.q->sample(leading, noise);
      }
    }
    const auto observations = model_.decode(latents, batch, model_.modalities());
    const auto log_p = reported_log_likelihood(observations, log_likelihood(observations));
    const auto log_w = log_weights(latents, log_p);
    const auto bound = average(latents, log_w);
    const auto reconstruction = -average(latents, log_p);
    return {{"bound", bound}, {"reconstruction", reconstruction}, {"kl", -bound - reconstruction}, {"objective", value}};
  }

  MmvaePlusConfig config_;
  Multimodal& model_;
  Scheduled beta_;
  std::map<std::string, Tensor> log_scales_ = {};
};

}  // namespace

std::shared_ptr<Objective> make_mmvae_plus(const MmvaePlusConfig& config, Multimodal& model, const ObjectiveContext& context) {
  return std::make_shared<MmvaePlus>(config, model, context);
}

}  // namespace elbo
