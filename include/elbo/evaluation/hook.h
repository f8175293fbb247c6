#pragma once
#include <memory>

#include "elbo/data/dataset.h"
#include "elbo/evaluation/config.h"
#include "elbo/models/model.h"
#include "elbo/objectives/objective.h"
#include "elbo/training/hook.h"
#include "elbo/training/run_folder.h"

namespace elbo {

/// What the hook evaluates.
struct EvaluationHookParts {
  std::shared_ptr<Model> model = nullptr;
  std::shared_ptr<Objective> objective = nullptr;
  std::shared_ptr<const Dataset> dataset = nullptr;
  at::Device device = at::kCPU;
  uint64_t seed = 0;         // of the evaluation noise; the same for all runs, so that runs compare paired
  RunFolder* run = nullptr;  // outlives the hook; without one there are no pictures, histograms and panel lines
};

/// Measures the validation split during training: valid/bound (what the monitor reads by default), the config's metrics, and for
/// a variational model with `elbo` among them valid/active_units. Into the run folder go
/// samples/step-N-{samples,reconstructions}.png (of several modalities
/// {samples,cross_generation}, all modalities in each), the same images and histograms of KL per unit as events, a line of
/// metrics.jsonl with the units' values, and the collapse panel in the log. Throws: UsageError at construction where the model
/// lacks what a metric reads.
std::shared_ptr<Hook> make_evaluation_hook(const EvaluationConfig& config, const EvaluationHookParts& parts);

}  // namespace elbo
