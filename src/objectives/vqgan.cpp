#include "elbo/objectives/vqgan.h"

#include "elbo/models/abilities.h"
#include "image_critic.h"
#include "vq_pass.h"

namespace elbo {
namespace {

/// What the model gives back: another field than x where it enlarges.
std::string field_of(const Quantized& model) {
  const auto* reconstructs = dynamic_cast<const Reconstructs*>(&model);
  return reconstructs ? reconstructs->reconstructed_field() : "x";
}

class Vqgan final : public Objective {
 public:
  Vqgan(const VqganConfig& config, Quantized& model, const ObjectiveContext& context)
      : config_(config),
        model_(model),
        field_(field_of(model)),
        seen_(field_, context),
        perceptual_(config.perceptual, seen_),
        critic_({.network = config.critic, .start = config.critic_start, .weight = config.critic_weight}, seen_, context) {
    detail::check_output_weight(model.output_weight(), context);
    register_module("critic", critic_.network());
  }

  /// What evaluation looks at: everything but a pull of the critic.
  LossTerms losses(const Batch& batch, Step& step) override {
    Tensor image;
    auto losses = main(batch, step, &image);
    critic_.add_scores(losses, image.detach(), seen_.centred(batch.at(field_)));
    return losses;
  }

  std::vector<Phase> phases(Model& model) override {
    Phase main{.name = "main"};
    for (auto& parameter : model.parameters()) {
      if (parameter.requires_grad()) main.parameters.push_back(parameter);
    }
    main.losses = [this](const Batch& batch, Step& step) { return this->main(batch, step); };
    return {main, critic_.phase([this](const Batch& batch, Step& step) { return this->critic(batch, step); })};
  }

  std::vector<Scheduled> scheduled() override {
    auto all = detail::scheduled_of(model_);
    all.push_back(critic_.weight());
    return all;
  }
  bool couples_batch() const override { return true; }

 private:
  /// Gives back the reconstruction too where asked.
  LossTerms main(const Batch& batch, Step& step, Tensor* reconstruction = nullptr) {
    auto pass = detail::vq_pass(model_, batch, step, config_.reduction);
    auto losses = std::move(pass.losses);
    const double n = config_.reduction == VqReduction::sum ? pass.elements : 1;
    const auto image = image_of(pass.observations);
    auto nll = pass.distortion;
    const auto distance = perceptual_.add_to(losses, image, seen_.centred(batch.at(field_)), n);
    if (distance.defined()) nll = nll + distance;
    critic_.pull(losses, nll, image, n, model_.output_weight(), step);
    if (reconstruction) *reconstruction = image;
    return losses;
  }

  LossTerms critic(const Batch& batch, Step& step) {
    LossTerms losses;
    Tensor image;
    {
      const torch::NoGradGuard no_grad;  // and no statistics: the quantisers have seen this batch in phase main
      const auto codes = model_.codes(batch);
      const auto quantizers = model_.quantizers();
      std::vector<Tensor> values;
      for (size_t i = 0; i < codes.size(); ++i) values.push_back(quantizers[i]->decode(codes[i]));
      const auto observations = model_.decode(values, batch);
      image = image_of(observations);
      const auto reported = reported_log_likelihood(observations, log_likelihood(observations));
      losses.terms.push_back({"bound", reported - model_.code_length(codes, batch, step.noise)});
    }
    critic_.judge(losses, image, seen_.centred(batch.at(field_)));
    return losses;
  }

  Tensor image_of(const std::vector<Observation>& observations) const {
    const auto& observation = observations.front();
    return seen_.centred((observation.reported ? observation.reported : observation.likelihood)->mean());
  }

  VqganConfig config_;
  Quantized& model_;
  std::string field_;
  detail::SeenImage seen_;
  detail::PerceptualTerm perceptual_;
  detail::ImageCritic critic_;
};

}  // namespace

std::shared_ptr<Objective> make_vqgan(const VqganConfig& config, Quantized& model, const ObjectiveContext& context) {
  return std::make_shared<Vqgan>(config, model, context);
}

}  // namespace elbo
