#include "elbo/objectives/free_bits.h"

#include "kl_term.h"

namespace elbo {
namespace {

class FreeBits final : public Objective {
 public:
  FreeBits(const FreeBitsConfig& config, Variational& model, const ObjectiveContext& context)
      : config_(config), model_(model), lambda_("lambda", config.lambda, context.device) {}

  LossTerms losses(const Batch& batch, Step& step) override {
    const auto latents = model_.infer(batch, config_.samples, step.noise);
    const auto distortion = detail::distortion(latents, model_.decode(latents, batch));
    const auto units = config_.of == FreeBitsOf::latent ? detail::kl_per_latent(latents, config_.kl)          // [B, D]
                                                        : detail::kl_term(latents, config_.kl).unsqueeze(1);  // [B, 1]
    LossTerms losses{.loss = distortion.optimised, .terms = detail::elbo_terms(distortion, units.sum(1))};
    if (couples_batch()) {
      losses.batch_loss = torch::maximum(units.mean(0), lambda_.tensor()).sum();
    } else {
      losses.loss = losses.loss + torch::maximum(units, lambda_.tensor()).sum(1);
    }
    return losses;
  }

  std::vector<Scheduled> scheduled() override { return {lambda_}; }
  int64_t samples() const override { return config_.samples; }
  bool couples_batch() const override { return config_.over == FreeBitsOver::batch; }

 private:
  FreeBitsConfig config_;
  Variational& model_;
  Scheduled lambda_;
};

}  // namespace

std::shared_ptr<Objective> make_free_bits(const FreeBitsConfig& config, Variational& model, const ObjectiveContext& context) {
  return std::make_shared<FreeBits>(config, model, context);
}

}  // namespace elbo
