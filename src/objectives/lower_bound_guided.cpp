#include "elbo/objectives/lower_bound_guided.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "image_critic.h"

namespace elbo {
namespace {

Tensor absolute_error(const Tensor& a, const Tensor& b) { return (a - b).abs().flatten(1).sum(1); }
Tensor summed_square(const Tensor& a, const Tensor& b) { return (a - b).square().flatten(1).sum(1); }

Tensor decibels(const Tensor& summed_squares, double elements) {
  constexpr double kSmallestError = 1e-10;
  return -10 * (summed_squares / elements).clamp_min(kSmallestError).log10();
}

Term bound_of(const Tensor& absolute, double elements) { return {"bound", -absolute.detach() - elements * std::log(2.0)}; }

bool is_zero(const ScheduledNumber& number) { return number.type() == "constant" && number.make()->at({}) == 0; }

class LowerBoundGuided final : public Objective {
 public:
  LowerBoundGuided(const LowerBoundGuidedConfig& config, AsymmetricVae& model, const ObjectiveContext& context)
      : config_(config), model_(model) {
    const bool has_critic = !is_zero(config.critic_weight);
    if (!has_critic && config.perceptual.weight == 0) return;
    seen_.emplace(model.reconstructed_field(), context);
    perceptual_.emplace(config.perceptual, *seen_);
    if (!has_critic) return;
    detail::check_output_weight(model.output_weight(), context);
    const auto start = std::max(config.guided_steps, config.critic_start);
    critic_.emplace(detail::ImageCriticOptions{.network = config.critic, .start = start, .weight = config.critic_weight}, *seen_,
                    context);
    register_module("critic", critic_->network());
  }

  /// What evaluation looks at: the second phase, but for a pull of the critic.
  LossTerms losses(const Batch& batch, Step& step) override {
    Pictures pictures;
    auto losses = towards_target(batch, step, &pictures);
    if (critic_) critic_->add_scores(losses, seen_->centred(pictures.made.detach()), seen_->centred(pictures.target));
    return losses;
  }

  std::vector<Phase> phases(Model& model) override {
    Phase target;
    for (auto& parameter : model.parameters()) {
      if (parameter.requires_grad()) target.parameters.push_back(parameter);
    }
    target.losses = [this](const Batch& batch, Step& step) { return towards_target(batch, step); };
    std::vector<Phase> phases;
    if (config_.guided_steps > 0) {
      auto guided = target;
      guided.name = "guided";
      guided.until_step = config_.guided_steps;
      guided.losses = [this](const Batch& batch, Step&) { return towards_floor(batch); };
      target.from_step = config_.guided_steps;
      phases.push_back(guided);
    }
    phases.push_back(target);
    if (critic_) phases.push_back(critic_->phase([this](const Batch& batch, Step&) { return judged(batch); }));
    return phases;
  }

  std::vector<Scheduled> scheduled() override {
    return critic_ ? std::vector<Scheduled>{critic_->weight()} : std::vector<Scheduled>{};
  }
  bool couples_batch() const override { return critic_.has_value(); }

 private:
  struct Pictures {
    Tensor target = {};  // [B, C, 2H, 2W]
    Tensor made = {};
    Tensor floor = {};
  };

  Pictures pictures_of(const Batch& batch) {
    const auto& target = batch.at(model_.reconstructed_field());
    const auto z = model_.code(target);
    return {.target = target, .made = model_.decode(z)->mean(), .floor = model_.floor(z)};
  }

  /// What both phases report.
  static LossTerms compared(const Pictures& pictures) {
    const auto elements = static_cast<double>(pictures.target[0].numel());
    const auto absolute = absolute_error(pictures.made, pictures.target).detach();
    return {.terms = {bound_of(absolute, elements),
                      {"absolute_error", absolute},
                      {"psnr_db", decibels(summed_square(pictures.made, pictures.target).detach(), elements)},
                      {"floor_psnr_db", decibels(summed_square(pictures.floor, pictures.target), elements)}}};
  }

  LossTerms towards_floor(const Batch& batch) {
    const auto pictures = pictures_of(batch);
    auto losses = compared(pictures);
    losses.loss = absolute_error(pictures.made, pictures.floor);
    losses.terms.push_back({"guide", losses.loss.detach()});
    return losses;
  }

  /// Gives back the pictures too where asked.
  LossTerms towards_target(const Batch& batch, Step& step, Pictures* given = nullptr) {
    const auto pictures = pictures_of(batch);
    auto losses = compared(pictures);
    const auto beyond =
        torch::relu(summed_square(pictures.made, pictures.target) - summed_square(pictures.floor, pictures.target));
    losses.loss = absolute_error(pictures.made, pictures.target) + config_.hinge * beyond;
    losses.terms.push_back({"hinge", beyond.detach()});
    const auto elements = static_cast<double>(pictures.target[0].numel());
    if (perceptual_) {
      perceptual_->add_to(losses, seen_->centred(pictures.made), seen_->centred(pictures.target), elements);
    }
    if (critic_) {
      const auto rest = losses.loss;
      critic_->pull(losses, rest, seen_->centred(pictures.made), elements, model_.output_weight(), step);
    }
    if (given) *given = pictures;
    return losses;
  }

  /// Phase `critic`.
  LossTerms judged(const Batch& batch) {
    LossTerms losses;
    Pictures pictures;
    {
      const torch::NoGradGuard no_grad;
      const auto& target = batch.at(model_.reconstructed_field());
      pictures = {.target = target, .made = model_.decode(model_.code(target))->mean()};
    }
    losses.terms.push_back(
        bound_of(absolute_error(pictures.made, pictures.target), static_cast<double>(pictures.target[0].numel())));
    critic_->judge(losses, seen_->centred(pictures.made), seen_->centred(pictures.target));
    return losses;
  }

  LowerBoundGuidedConfig config_;
  AsymmetricVae& model_;
  std::optional<detail::SeenImage> seen_ = {};
  std::optional<detail::PerceptualTerm> perceptual_ = {};
  std::optional<detail::ImageCritic> critic_ = {};
};

}  // namespace

std::shared_ptr<Objective> make_lower_bound_guided(const LowerBoundGuidedConfig& config, AsymmetricVae& model,
                                                   const ObjectiveContext& context) {
  return std::make_shared<LowerBoundGuided>(config, model, context);
}

}  // namespace elbo
