#include "elbo/objectives/miwae.h"

#include "importance.h"

namespace elbo {
namespace {

class Miwae final : public Objective {
 public:
  Miwae(const MiwaeConfig& config, Variational& model) : config_(config), model_(model) {}

  LossTerms losses(const Batch& batch, Step& step) override {
    const auto drawn = detail::importance_samples(model_, batch, samples(), step.noise);
    const auto loss = -detail::mean_of_bounds(drawn.latents, drawn.log_w, config_.repetitions);
    const torch::NoGradGuard no_grad;
    const auto bound = detail::mean_of_bounds(drawn.latents, drawn.reported_log_w, config_.repetitions);
    return {.loss = loss, .terms = detail::importance_terms(drawn, bound)};
  }

  int64_t samples() const override { return config_.repetitions * config_.samples; }

 private:
  MiwaeConfig config_;
  Variational& model_;
};

}  // namespace

std::shared_ptr<Objective> make_miwae(const MiwaeConfig& config, Variational& model, const ObjectiveContext&) {
  return std::make_shared<Miwae>(config, model);
}

}  // namespace elbo
