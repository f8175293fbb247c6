#include "elbo/objectives/dual_branch.h"

#include <algorithm>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/data/bezier_path.h"
#include "kl_term.h"

namespace elbo {

Tensor chamfer_distance(const Tensor& a, const Tensor& b) {
  const auto squared = (a.unsqueeze(-2) - b.unsqueeze(-3)).square().sum(-1);  // [..., N, P]
  return squared.amin(-1).mean(-1) + squared.amin(-2).mean(-1);
}

namespace {

constexpr int64_t kNumbersOfASegment = 8;

class DualBranch final : public Objective {
 public:
  DualBranch(const DualBranchConfig& config, Multimodal& model, const ObjectiveContext& context)
      : config_(config), model_(model), beta_("beta", config.beta, context.device) {
    const auto& names = model.modalities();
    if (std::find(names.begin(), names.end(), config.path) != names.end()) return;
    throw ConfigError(text(context.objective, ": '", config.path, "' is no modality of the model",
                           did_you_mean(config.path, names, "it has " + join(names, ", ")), "; set objective.path"));
  }

  LossTerms losses(const Batch& batch, Step& step) override {
    const auto latents =
        drawn(model_.posterior(batch, model_.experts(batch, model_.modalities())), batch.size(), config_.samples, step.noise);
    const auto observations = model_.decode(latents, batch, model_.modalities());
    const auto distortion = detail::distortion(latents, observations);
    const auto divergence = detail::kl_term(latents, KlEstimator::analytic);
    const auto own = [&](const Observation& o) { return o.name == config_.path; };
    const auto between_curves = average(latents, distance(*std::find_if(observations.begin(), observations.end(), own)));
    LossTerms losses{.loss = distortion.optimised + beta_.tensor() * divergence + config_.chamfer * between_curves,
                     .terms = detail::elbo_terms(distortion, divergence)};
    losses.terms.push_back({"chamfer", between_curves.detach()});
    return losses;
  }

  std::vector<Scheduled> scheduled() override { return {beta_}; }
  int64_t samples() const override { return config_.samples; }

 private:
  /// Shapes: [K, B] or [S, K, B].
  Tensor distance(const Observation& path) const {
    if (path.target.size(-1) != kNumbersOfASegment) {
      throw ShapeError("objective dual_branch: '" + config_.path + "' is " + shape_text(path.target.sizes()) +
                       ", expected segments of eight numbers, [B, T, 8]");
    }
    const auto apart = chamfer_distance(points_on(path.target, 1), points_on(path.likelihood->mean(), leading_of(path)));
    return path.mask.defined() ? torch::where(path.mask, apart, torch::zeros({}, apart.options())) : apart;
  }
  static int64_t leading_of(const Observation& path) { return static_cast<int64_t>(path.likelihood->batch_shape().size()); }

  /// [leading..., ..., 8] -> [leading..., points, 2].
  Tensor points_on(const Tensor& segments, int64_t num_leading) const {
    // In the middle of equal parts, so that the end of a segment is not the start of the next once more.
    const auto t = (torch::arange(config_.points, segments.options()) + 0.5) / static_cast<double>(config_.points);
    return points_on_path(segments, t).flatten(num_leading, -2);
  }

  DualBranchConfig config_;
  Multimodal& model_;
  Scheduled beta_;
};

}  // namespace

std::shared_ptr<Objective> make_dual_branch(const DualBranchConfig& config, Multimodal& model, const ObjectiveContext& context) {
  return std::make_shared<DualBranch>(config, model, context);
}

}  // namespace elbo
