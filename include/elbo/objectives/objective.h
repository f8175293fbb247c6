#pragma once
#include <torch/nn/module.h>

#include <functional>

#include "elbo/config/catalog.h"
#include "elbo/config/choice.h"
#include "elbo/data/batch.h"
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
  /// Whether a term couples the batch: the short last batch of an epoch is then dropped, accumulation refused.
  virtual bool couples_batch() const { return false; }
};

struct ObjectiveContext {
  at::Device device = at::kCPU;
};

/// The axis `objective`. An objective is built on the family it reads; the join is one dynamic_cast.
class ObjectiveCatalog : public Catalog<Objective, Model&, const ObjectiveContext&> {
 public:
  using Catalog::Catalog;
  /// Adds a component that needs a model of `Family`; with another it is a ConfigError that names both and their lines.
  template <class Family, class Config>
  ObjectiveCatalog& add_for(std::string name, std::string source,
                            std::shared_ptr<Objective> (*make)(const Config&, Family&, const ObjectiveContext&));
};
ObjectiveCatalog& objectives();
using ObjectiveChoice = Choice<Objective, Model&, const ObjectiveContext&>;

}  // namespace elbo
