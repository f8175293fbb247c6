#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "elbo/config/range.h"
#include "elbo/data/dataset.h"
#include "elbo/evaluation/active_units.h"
#include "elbo/evaluation/metric.h"
#include "elbo/training/hook.h"
#include "elbo/training/run_folder.h"

namespace elbo {

/// The section `evaluation`: what is measured on the validation split during training, and what `elbo evaluate` measures unless
/// told otherwise.
struct EvaluationConfig {
  std::vector<std::string> metrics = {"elbo"};
  int64_t samples = 100;
  int64_t every_epochs = 1;
  int64_t limit = 0;
  int64_t batch_size = 0;
  int64_t pictures = 40;

  template <class F>
  void fields(F& field) {
    field("metrics", metrics, "what is measured besides bound, by name");
    field("samples", samples, "importance samples an example of log_likelihood", between(1, 10'000'000));
    field("every_epochs", every_epochs, "epochs between evaluations; the end of training always has one", at_least(1));
    field("limit", limit, "first rows of the split that are evaluated during training; 0 for all", at_least(0));
    field("batch_size", batch_size, "rows an evaluation batch; 0 for that of data", at_least(0));
    field("pictures", pictures, "samples and reconstructions drawn at each evaluation, where x is an image; 0 for none",
          between(0, 400));
  }
  /// Every name in `metrics` is a metric.
  void check(Relations& relations) const;
};

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
/// samples/step-N-{samples,reconstructions}.png, the same images and histograms of KL per unit as events, a line of metrics.jsonl
/// with the units' values, and the collapse panel in the log. Throws: UsageError at construction where the model lacks what a
/// metric reads.
std::shared_ptr<Hook> make_evaluation_hook(const EvaluationConfig& config, const EvaluationHookParts& parts);

}  // namespace elbo
