#include "elbo/objectives/lower_bound_guided.h"

#include <cmath>

namespace elbo {
namespace {

Tensor absolute_error(const Tensor& a, const Tensor& b) { return (a - b).abs().flatten(1).sum(1); }
Tensor summed_square(const Tensor& a, const Tensor& b) { return (a - b).square().flatten(1).sum(1); }

Tensor decibels(const Tensor& summed_squares, double elements) {
  constexpr double kSmallestError = 1e-10;
  return -10 * (summed_squares / elements).clamp_min(kSmallestError).log10();
}

class LowerBoundGuided final : public Objective {
 public:
  LowerBoundGuided(const LowerBoundGuidedConfig& config, AsymmetricVae& model) : config_(config), model_(model) {}

  LossTerms losses(const Batch& batch, Step&) override { return losses_of(batch, Towards::target); }

  std::vector<Phase> phases(Model& model) override {
    auto target = Objective::phases(model).front();
    if (config_.guided_steps == 0) return {target};
    auto guided = target;
    guided.name = "guided";
    guided.until_step = config_.guided_steps;
    guided.losses = [this](const Batch& batch, Step&) { return losses_of(batch, Towards::floor); };
    target.from_step = config_.guided_steps;
    return {guided, target};
  }

 private:
  enum class Towards { floor, target };

  LossTerms losses_of(const Batch& batch, Towards towards) {
    const auto& x = batch.at(model_.reconstructed_field());
    const auto z = model_.code(x);
    const auto picture = model_.decode(z)->mean(), floor = model_.floor(z);
    const auto absolute = absolute_error(picture, x), square = summed_square(picture, x), floor_square = summed_square(floor, x);
    const auto elements = static_cast<double>(x[0].numel());
    LossTerms result{.terms = {{"bound", -absolute.detach() - elements * std::log(2.0)},
                               {"absolute_error", absolute.detach()},
                               {"psnr_db", decibels(square.detach(), elements)},
                               {"floor_psnr_db", decibels(floor_square, elements)}}};
    if (towards == Towards::floor) {
      result.loss = absolute_error(picture, floor);
      result.terms.push_back({"guide", result.loss.detach()});
    } else {
      const auto hinge = torch::relu(square - floor_square);
      result.loss = absolute + config_.hinge * hinge;
      result.terms.push_back({"hinge", hinge.detach()});
    }
    return result;
  }

  LowerBoundGuidedConfig config_;
  AsymmetricVae& model_;
};

}  // namespace

std::shared_ptr<Objective> make_lower_bound_guided(const LowerBoundGuidedConfig& config, AsymmetricVae& model,
                                                   const ObjectiveContext&) {
  return std::make_shared<LowerBoundGuided>(config, model);
}

}  // namespace elbo
