#include "elbo/objectives/telbo.h"

#include <algorithm>

#include "elbo/base/error.h"
#include "elbo/distributions/kl.h"
#include "elbo/models/abilities.h"
#include "kl_term.h"
#include "multimodal.h"

namespace elbo {
namespace {

class Telbo final : public Objective {
 public:
  Telbo(const TelboConfig& config, Multimodal& model, const ObjectiveContext& context)
      : config_(config), model_(model), beta_("beta", config.beta, context.device) {
    detail::need_aggregation(model, {"joint"}, context);
    if (model.aggregator().sources().empty()) {
      throw ConfigError(context.objective + " trains encoders of each modality: set model.aggregation.unimodal_encoders: true");
    }
    if (model.posterior(rows_without_fields(1), {}).layers.size() > 1) {
      throw ConfigError(context.objective + " has no private latents: set model.private_size: 0");
    }
  }

  /// J and every U_m: what evaluation looks at.
  LossTerms losses(const Batch& batch, Step& step) override {
    auto losses = joint(batch, step);
    auto unimodal = encoders(batch, step);
    losses.loss = losses.loss + unimodal.loss;
    losses.terms.insert(losses.terms.end(), unimodal.terms.begin(), unimodal.terms.end());
    return losses;
  }

  std::vector<Phase> phases(Model& model) override {
    std::vector<Tensor> rest, own;
    for (const auto& name : model_.modalities()) {
      for (auto& parameter : model_.encoder_parameters(name)) own.push_back(parameter);
    }
    for (auto& parameter : model.parameters()) {
      const auto same = [&](const Tensor& other) { return other.is_same(parameter); };
      if (std::none_of(own.begin(), own.end(), same)) rest.push_back(parameter);
    }
    // As routes: neither loss may reach the other's parameters.
    const auto routed = [this](auto part, std::vector<Tensor> parameters) {
      return [this, part, parameters = std::move(parameters)](const Batch& batch, Step& step) {
        auto losses = (this->*part)(batch, step);
        losses.routes = {{losses.loss, parameters}};
        losses.loss = Tensor();
        return losses;
      };
    };
    Phase joint_phase{.name = "joint", .parameters = rest, .losses = routed(&Telbo::joint, rest)};
    const bool joint_is_off = config_.stage == TelboStage::two;  // where it is on, its own phase reports J
    Phase encoder_phase{
        .name = "encoders", .parameters = own, .losses = routed(joint_is_off ? &Telbo::encoders_alone : &Telbo::encoders, own)};
    if (joint_is_off) joint_phase.until_step = encoder_phase.from_step = config_.switch_step;
    return {joint_phase, encoder_phase};
  }

  std::vector<Scheduled> scheduled() override { return {beta_}; }
  int64_t samples() const override { return config_.samples; }

 private:
  LossTerms joint(const Batch& batch, Step& step) {
    const auto latents =
        drawn(model_.posterior(batch, model_.experts(batch, model_.modalities())), batch.size(), config_.samples, step.noise);
    const auto distortion = detail::distortion(latents, model_.decode(latents, batch, model_.modalities()));
    const auto divergence = detail::kl_term(latents, KlEstimator::analytic);
    return {.loss = distortion.optimised + beta_.tensor() * divergence, .terms = detail::elbo_terms(distortion, divergence)};
  }

  LossTerms encoders(const Batch& batch, Step& step) {
    LossTerms losses;
    for (const auto& name : model_.modalities()) {
      const auto latents =
          drawn(model_.posterior(batch, model_.experts(batch, {name})), batch.size(), config_.samples, step.noise);
      const auto distortion = detail::distortion(latents, model_.decode(latents, batch, {name}));
      const auto divergence = detail::kl_term(latents, KlEstimator::analytic);
      losses.loss = detail::plus(losses.loss, distortion.optimised + beta_.tensor() * divergence);
      const auto reported = -(distortion.reported + divergence.detach());
      losses.terms.push_back({"unimodal_" + name, reported});
    }
    return losses;
  }

  /// With J beside it, which this phase does not optimise.
  LossTerms encoders_alone(const Batch& batch, Step& step) {
    auto losses = encoders(batch, step);
    const torch::NoGradGuard no_grad;
    losses.terms.insert(losses.terms.begin(), joint(batch, step).terms.front());
    return losses;
  }

  TelboConfig config_;
  Multimodal& model_;
  Scheduled beta_;
};

}  // namespace

std::shared_ptr<Objective> make_telbo(const TelboConfig& config, Multimodal& model, const ObjectiveContext& context) {
  return std::make_shared<Telbo>(config, model, context);
}

}  // namespace elbo
