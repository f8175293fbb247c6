#pragma once
#include <torch/nn/module.h>

#include "elbo/config/catalog.h"
#include "elbo/config/choice.h"
#include "elbo/data/spec.h"
#include "elbo/models/family.h"

namespace elbo {

/// A generative model: a torch module that also belongs to one of the families of family.h.
class Model : public torch::nn::Module {
 public:
  /// "variational", "quantized", …: for messages.
  virtual std::string_view family() const = 0;
  /// "784-200-200-50": the model in one word, for the first line of a run.
  virtual std::string summary() const = 0;
};

/// What building a model needs besides its own options.
struct ModelContext {
  const DataSpec& spec;
  Stream& init;  // on the host: modules are built on the host, then moved
  /// Mean of `x` over the training data, for the output bias where asked for; undefined when data isn't loaded (checkpoints
  /// overwrite it).
  Tensor training_mean = {};
  at::Device device = at::kCPU;  // where the model will live: for scheduled numbers
  /// The finished model of a second stage: on the host, frozen. A model that builds on it registers it as its submodule `base`,
  /// so that it moves and is saved with it.
  std::shared_ptr<Model> base = nullptr;
};

/// The axis `model`.
Catalog<Model, const ModelContext&>& models();
using ModelChoice = Choice<Model, const ModelContext&>;

}  // namespace elbo
