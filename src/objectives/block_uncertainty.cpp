#include "elbo/objectives/block_uncertainty.h"

#include <limits>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/math/blocks.h"
#include "elbo/math/structural_similarity.h"
#include "elbo/models/abilities.h"
#include "vq_pass.h"

namespace elbo {
namespace {

/// The field of maps that the model's codes give. Throws: ConfigError.
const DataSpec::value_type& reconstructed_maps(Quantized& model, const ObjectiveContext& context) {
  const auto* reconstructs = dynamic_cast<const Reconstructs*>(&model);
  const auto field = reconstructs ? reconstructs->reconstructed_field() : "x";
  const auto found = context.spec.find(field);
  if (found != context.spec.end() && found->second.shape.size() == 3) return *found;
  throw ConfigError(
      text(context.objective, " weighs blocks of maps [C, H, W]; field ", field, " of ", context.model, " is none"));
}

/// -log p(x | codes), each place times its weight. Shapes: weights [H, W] -> [B].
Tensor weighted_distortion(const Observation& observation, const Tensor& weights) {
  return -(observation.likelihood->log_prob_per_element(observation.target) * weights).flatten(1).sum(1);
}

class BlockUncertainty final : public Objective, public Stepped {
 public:
  BlockUncertainty(const BlockUncertaintyConfig& config, Quantized& model, const Shape& map)
      : config_(config), model_(model), map_(map) {
    const auto sizes = block_sizes(map, config.block);
    mean_ = register_buffer("mean_error", torch::zeros(sizes.sizes()));
    quantile_ = register_buffer("quantile_error", torch::zeros(sizes.sizes()));
  }

  LossTerms losses(const Batch& batch, Step& step) override {
    auto pass = detail::vq_pass(model_, batch, step, config_.reduction);
    if (pass.observations.size() != 1) throw UsageError("objective 'block_uncertainty' weighs one observation");
    const auto& observation = pass.observations.front();
    const auto mean = observation.likelihood->mean();
    if (step.training) keep(observation.target, mean.detach(), step);
    const auto weights = place_weights();
    auto weighted = weighted_distortion(observation, weights);
    if (!pass.continuous.empty()) weighted = (weighted + weighted_distortion(pass.continuous.front(), weights)) / 2;
    auto& result = pass.losses;
    result.loss = result.loss - pass.distortion + (config_.reduction == VqReduction::mean ? weighted / pass.elements : weighted);
    if (config_.similarity > 0) {
      const auto ssim = structural_similarity(observation.target, mean);
      result.loss = result.loss + config_.similarity * (1 - ssim);
      result.terms.push_back({"ssim", ssim.detach()});
    }
    result.terms.push_back({"block_weight_max", weights.max()});
    return result;
  }

  std::vector<Scheduled> scheduled() override { return detail::scheduled_of(model_); }

  void after_step(const Step& step) override {
    if (!sums_.defined()) return;
    const torch::NoGradGuard no_grad;
    auto sums = sums_, rows = torch::full({}, rows_, sums_.options());
    sums_.reset();
    step.collective.all_reduce_sum(sums);
    step.collective.all_reduce_sum(rows);
    const auto errors = sums / rows;
    mean_.mul_(config_.decay).add_(errors[0], 1 - config_.decay);
    quantile_.mul_(config_.decay).add_(errors[1], 1 - config_.decay);
  }

 private:
  /// What after_step learns from; several passes of a step add up.
  void keep(const Tensor& target, const Tensor& mean, const Step& step) {
    const torch::NoGradGuard no_grad;
    const auto errors =
        in_blocks((target - mean).abs().to(torch::kFloat), config_.block, std::numeric_limits<double>::quiet_NaN());
    const auto sums = torch::stack({errors.nanmean(-1).sum(0), torch::nanquantile(errors, 1 - config_.alpha, -1).sum(0)});
    const bool goes_on = sums_.defined() && step.index == kept_step_;
    kept_step_ = step.index;
    sums_ = goes_on ? sums_ + sums : sums;
    rows_ = (goes_on ? rows_ : 0) + target.size(0);
  }

  /// Mean 1 over the places; 1 everywhere before the first step. Shapes: [H, W].
  Tensor place_weights() const {
    const auto uncertainty = over_places(quantile_ / (mean_ + config_.epsilon), map_[1], map_[2], config_.block);
    const auto mean = uncertainty.mean();
    return torch::where(mean > 0, uncertainty / mean, torch::ones_like(uncertainty));
  }

  BlockUncertaintyConfig config_;
  Quantized& model_;
  Shape map_;
  Tensor mean_, quantile_;
  int64_t kept_step_ = -1;
  Tensor sums_ = {};  // over a step's rows, [2, h, w]: of means, of quantiles
  int64_t rows_ = 0;
};

}  // namespace

std::shared_ptr<Objective> make_block_uncertainty(const BlockUncertaintyConfig& config, Quantized& model,
                                                  const ObjectiveContext& context) {
  const auto& [field, spec] = reconstructed_maps(model, context);
  const auto& map = spec.shape;
  if (config.similarity > 0 && !detail::holds_pictures(spec)) {
    throw ConfigError(
        text(context.objective, ": SSIM is of pictures with values in [0, 1]; field ", field, " holds none; set similarity: 0"));
  }
  if (config.similarity > 0 && std::min(map[1], map[2]) < kSimilarityWindow) {
    throw ConfigError(
        text(context.objective, ": SSIM needs pictures of at least 11 x 11, these are ", shape_text(map), "; set similarity: 0"));
  }
  return std::make_shared<BlockUncertainty>(config, model, map);
}

}  // namespace elbo
