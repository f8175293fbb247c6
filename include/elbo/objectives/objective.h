#pragma once
#include <torch/nn/module.h>

#include <functional>
#include <limits>

#include "elbo/config/catalog.h"
#include "elbo/config/choice.h"
#include "elbo/data/batch.h"
#include "elbo/data/spec.h"
#include "elbo/math/scheduled.h"
#include "elbo/math/step.h"
#include "elbo/models/model.h"

namespace elbo {

/// A named value to report: detached, unweighted, [B] or 0-dim.
struct Term {
  std::string name;
  Tensor value;
};

/// A loss whose gradient goes to these parameters only.
struct Route {
  Tensor loss;  // [B]
  std::vector<Tensor> parameters;
};

/// What one evaluation of an objective returns. Units: nats per example; the trainer alone takes sums and means over the batch.
struct LossTerms {
  Tensor loss = {};                // [B]; may be a surrogate whose value is not the bound. Exactly one of loss and routes is set
  Tensor batch_loss = {};          // 0-dim, for terms that couple the batch; added once
  std::vector<Route> routes = {};  // all gradients are taken at the same point, before any step
  std::vector<Term> terms = {};    // always holds "bound": the objective's true bound with all weights 1
};

/// One part of a step with its own parameters and optimiser; phases run in order, each on the current parameters.
struct Phase {
  std::string name = "main";
  std::vector<Tensor> parameters = {};
  int64_t every = 1;
  int64_t from_step = 0;
  int64_t until_step = std::numeric_limits<int64_t>::max();  // the first step without it
  bool capturable = true;
  std::function<LossTerms(const Batch&, Step&)> losses = {};
};

/// What is minimised. A module, because some objectives carry critics of their own.
class Objective : public torch::nn::Module {
 public:
  virtual LossTerms losses(const Batch& batch, Step& step) = 0;
  /// By default one phase over all parameters of the model and the objective that require gradients.
  virtual std::vector<Phase> phases(Model& model);
  /// Numbers that the trainer refills before each step.
  virtual std::vector<Scheduled> scheduled() { return {}; }
  /// Decoded samples of each example in a step: what memory is reckoned by before anything is read.
  virtual int64_t samples() const { return 1; }
  /// Whether a term couples the batch: the short last batch of an epoch is then dropped, accumulation refused.
  virtual bool couples_batch() const { return false; }
};

struct ObjectiveContext {
  at::Device device = at::kCPU;
  /// How the config calls the two, with their lines, for errors: "objective 'iwae' (line 12)".
  std::string objective = "this objective";
  std::string model = "this model";
  /// What critics and other networks of an objective's own are built from: the fields that they read and where they start.
  DataSpec spec = {};
  uint64_t seed = 0;
};

/// The axis `objective`.
Catalog<Objective, Model&, const ObjectiveContext&>& objectives();
using ObjectiveChoice = Choice<Objective, Model&, const ObjectiveContext&>;

namespace detail {
[[noreturn]] void throw_wrong_family(const Model& model, std::string_view needed, const ObjectiveContext& context);
}

/// The model as a `Family`. Throws: ConfigError "objective 'iwae' (line 12) needs a variational model; 'vq_vae' (line 4) is
/// quantized".
template <class Family>
Family& as_family(Model& model, std::string_view needed, const ObjectiveContext& context) {
  if (auto* family = dynamic_cast<Family*>(&model)) return *family;
  detail::throw_wrong_family(model, needed, context);
}

/// Builds an objective on the family it reads, by one dynamic_cast: `objectives().add<IwaeConfig>("iwae", "…",
/// on_variational(make_iwae))`.
template <class Config>
std::function<std::shared_ptr<Objective>(const Config&, Model&, const ObjectiveContext&)> on_variational(
    std::shared_ptr<Objective> (*make)(const Config&, Variational&, const ObjectiveContext&)) {
  return [make](const Config& config, Model& model, const ObjectiveContext& context) {
    return make(config, as_family<Variational>(model, "variational", context), context);
  };
}

/// The same for objectives of quantised models.
template <class Config>
std::function<std::shared_ptr<Objective>(const Config&, Model&, const ObjectiveContext&)> on_quantized(
    std::shared_ptr<Objective> (*make)(const Config&, Quantized&, const ObjectiveContext&)) {
  return [make](const Config& config, Model& model, const ObjectiveContext& context) {
    // A prior over codes hands its base's codes on, and nothing here would train it.
    if (model.family() == "code_prior") detail::throw_wrong_family(model, "quantized", context);
    return make(config, as_family<Quantized>(model, "quantized", context), context);
  };
}

/// The same for objectives that combine the encoders of several modalities in their own way.
template <class Config>
std::function<std::shared_ptr<Objective>(const Config&, Model&, const ObjectiveContext&)> on_multimodal(
    std::shared_ptr<Objective> (*make)(const Config&, Multimodal&, const ObjectiveContext&)) {
  return [make](const Config& config, Model& model, const ObjectiveContext& context) {
    return make(config, as_family<Multimodal>(model, "multimodal", context), context);
  };
}

}  // namespace elbo
