#include "elbo/objectives/iwae.h"

#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "importance.h"

namespace elbo {
namespace {

/// Multiplies z's gradient by the normalised weights once more: with log q's parameters detached, the encoder then gets
/// sum_k w~_k^2 dlog w_k/dz dz/dphi, while decoder and prior keep sum_k w~_k dlog w_k/dtheta.
void weight_gradient_of_latents(const Latents& latents, const Tensor& weights) {
  if (latents.layers.size() > 1) {
    throw UsageError("objective.estimator: dreg is for one layer of latents, this model has " +
                     std::to_string(latents.layers.size()) + "; choose standard or stl");
  }
  const auto& z = latents.layers.front().z;
  if (z.requires_grad()) z.register_hook([w = weights.unsqueeze(-1)](const Tensor& gradient) { return gradient * w; });
}

class Iwae final : public Objective {
 public:
  Iwae(const IwaeConfig& config, Variational& model) : config_(config), model_(model) {}

  LossTerms losses(const Batch& batch, Step& step) override {
    const bool live = config_.estimator == PathwiseEstimator::standard;
    const auto drawn = detail::importance_samples(model_, batch, config_.samples, step.noise,
                                                  live ? PosteriorGradient::live : PosteriorGradient::detached);
    const auto loss = -log_mean_exp(drawn.latents, drawn.log_w, config_.mixture);  // [B]; its gradient is sum_k w~_k dlog w_k
    if (config_.estimator == PathwiseEstimator::dreg && torch::GradMode::is_enabled()) {
      weight_gradient_of_latents(drawn.latents, normalised_weights(drawn.latents, drawn.log_w, config_.mixture));
    }
    const torch::NoGradGuard no_grad;
    return {.loss = loss,
            .terms = detail::importance_terms(drawn, log_mean_exp(drawn.latents, drawn.reported_log_w, config_.mixture))};
  }

  int64_t samples() const override { return config_.samples; }

 private:
  IwaeConfig config_;
  Variational& model_;
};

}  // namespace

std::shared_ptr<Objective> make_iwae(const IwaeConfig& config, Variational& model, const ObjectiveContext&) {
  if (config.estimator == PathwiseEstimator::stl && config.samples > 1) {
    log_once("stl", "objective.estimator: stl is biased for samples > 1 (Tucker et al. 2019, section 3); dreg is not");
  }
  return std::make_shared<Iwae>(config, model);
}

}  // namespace elbo
