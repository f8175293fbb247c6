#include "elbo/objectives/ciwae.h"

#include "importance.h"

namespace elbo {
namespace {

class Ciwae final : public Objective {
 public:
  Ciwae(const CiwaeConfig& config, Variational& model) : config_(config), model_(model) {}

  LossTerms losses(const Batch& batch, Step& step) override {
    const auto drawn = detail::importance_samples(model_, batch, config_.samples, step.noise);
    const auto loss = -combined(drawn.latents, drawn.log_w);
    const torch::NoGradGuard no_grad;
    return {.loss = loss, .terms = detail::importance_terms(drawn, combined(drawn.latents, drawn.reported_log_w))};
  }

  int64_t samples() const override { return config_.samples; }

 private:
  Tensor combined(const Latents& latents, const Tensor& log_w) const {
    return config_.beta * average(latents, log_w) + (1 - config_.beta) * log_mean_exp(latents, log_w);
  }

  CiwaeConfig config_;
  Variational& model_;
};

}  // namespace

std::shared_ptr<Objective> make_ciwae(const CiwaeConfig& config, Variational& model, const ObjectiveContext&) {
  return std::make_shared<Ciwae>(config, model);
}

}  // namespace elbo
