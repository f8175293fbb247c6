#include "elbo/objectives/vq.h"

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/math/structural_similarity.h"
#include "elbo/models/abilities.h"
#include "vq_pass.h"

namespace elbo {
namespace {

class VqObjective final : public Objective {
 public:
  VqObjective(const VqObjectiveConfig& config, Quantized& model) : config_(config), model_(model) {}

  LossTerms losses(const Batch& batch, Step& step) override {
    auto pass = detail::vq_pass(model_, batch, step, config_.reduction, config_.likelihood_weight);
    if (config_.ms_ssim.weight > 0) add_similarity(pass);
    return std::move(pass.losses);
  }
  std::vector<Scheduled> scheduled() override { return detail::scheduled_of(model_); }

 private:
  void add_similarity(detail::VqPass& pass) const {
    const auto& observation = pass.observations.front();
    const auto& term = config_.ms_ssim;
    const auto similarity = multiscale_similarity(observation.target, observation.likelihood->mean(), term.scales);
    const auto cost = term.form == SimilarityForm::decibel ? -similarity_decibels(similarity) : 1 - similarity;
    pass.losses.loss = pass.losses.loss + term.weight * cost;
    pass.losses.terms.push_back({"ms_ssim", similarity.detach()});
  }

  VqObjectiveConfig config_;
  Quantized& model_;
};

/// Throws: ConfigError.
void check_similar_pictures(const SimilarityTermConfig& config, const Quantized& model, const ObjectiveContext& context) {
  const auto* reconstructs = dynamic_cast<const Reconstructs*>(&model);
  const auto field = reconstructs ? reconstructs->reconstructed_field() : "x";
  const auto found = context.spec.find(field);
  if (found == context.spec.end() || !detail::holds_pictures(found->second)) {
    throw ConfigError(text(context.objective, ": MS-SSIM is of pictures with values in [0, 1]; field ", field, " holds none"));
  }
  const auto& shape = found->second.shape;
  const auto fitting = similarity_scales(shape[1], shape[2]);
  if (fitting >= config.scales) return;
  throw ConfigError(text(context.objective, ": ms_ssim.scales: ", config.scales, " don't fit on pictures ", shape_text(shape),
                         fitting > 0 ? text("; set at most ", fitting) : text("; set ms_ssim.weight: 0")));
}

}  // namespace

std::shared_ptr<Objective> make_vq_objective(const VqObjectiveConfig& config, Quantized& model, const ObjectiveContext& context) {
  if (config.ms_ssim.weight > 0) check_similar_pictures(config.ms_ssim, model, context);
  return std::make_shared<VqObjective>(config, model);
}

}  // namespace elbo
