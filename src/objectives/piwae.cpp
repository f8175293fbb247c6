#include "elbo/objectives/piwae.h"

#include <algorithm>

#include "elbo/base/error.h"
#include "importance.h"

namespace elbo {
namespace {

bool holds(const std::vector<Tensor>& tensors, const Tensor& tensor) {
  return std::any_of(tensors.begin(), tensors.end(), [&](const Tensor& t) { return t.is_same(tensor); });
}

/// Asked anew at each step, because parts of a model may be frozen.
std::vector<Tensor> trained(const std::vector<Tensor>& parameters) {
  std::vector<Tensor> chosen;
  std::copy_if(parameters.begin(), parameters.end(), std::back_inserter(chosen),
               [](const Tensor& t) { return t.requires_grad(); });
  return chosen;
}

class Piwae final : public Objective {
 public:
  Piwae(const PiwaeConfig& config, Variational& model) : config_(config), model_(model) {
    const auto* whole = dynamic_cast<const Model*>(&model);
    if (!whole) throw UsageError("piwae sends gradients to the parameters of a Model; this variational family is none");
    encoder_ = model.inference_parameters();
    for (const auto& parameter : whole->parameters()) {
      if (!holds(encoder_, parameter)) decoder_.push_back(parameter);
    }
  }

  LossTerms losses(const Batch& batch, Step& step) override {
    const auto drawn = detail::importance_samples(model_, batch, samples(), step.noise);
    LossTerms losses;
    add_route(losses, -log_mean_exp(drawn.latents, drawn.log_w), trained(decoder_));
    add_route(losses, -detail::mean_of_bounds(drawn.latents, drawn.log_w, config_.repetitions), trained(encoder_));
    const torch::NoGradGuard no_grad;
    losses.terms = detail::importance_terms(drawn, log_mean_exp(drawn.latents, drawn.reported_log_w));
    losses.terms.push_back({"encoder_bound", detail::mean_of_bounds(drawn.latents, drawn.reported_log_w, config_.repetitions)});
    return losses;
  }

  int64_t samples() const override { return config_.repetitions * config_.samples; }

 private:
  static void add_route(LossTerms& losses, const Tensor& loss, std::vector<Tensor> parameters) {
    if (!parameters.empty()) losses.routes.push_back({.loss = loss, .parameters = std::move(parameters)});
  }

  PiwaeConfig config_;
  Variational& model_;
  std::vector<Tensor> encoder_;
  std::vector<Tensor> decoder_;
};

}  // namespace

std::shared_ptr<Objective> make_piwae(const PiwaeConfig& config, Variational& model, const ObjectiveContext&) {
  return std::make_shared<Piwae>(config, model);
}

}  // namespace elbo
