#include "elbo/experiment/import.h"

#include "elbo/base/error.h"
#include "elbo/config/dump.h"
#include "elbo/training/trainer.h"

namespace elbo {
namespace {

/// The tensors of the model that a second stage builds on.
std::vector<NamedTensor> of_the_base(const torch::nn::Module& model) {
  auto tensors = named_tensors(model);
  std::erase_if(tensors, [](const NamedTensor& tensor) { return !tensor.name.starts_with("base."); });
  return tensors;
}

/// A run names its base by the hash of its weights, so they must be those.
void check_same_base(const std::vector<NamedTensor>& before, const torch::nn::Module& model, const ImportRequest& request) {
  const auto after = of_the_base(model);
  for (size_t i = 0; i < after.size(); ++i) {
    if (after[i].tensor.equal(before[i].tensor)) continue;
    throw CheckpointError(request.weights.string() + ": its " + after[i].name +
                          " differs from that of the base that the config names; set base.run to the run these weights were "
                          "trained on");
  }
}

}  // namespace

ImportReport import_run(const ExperimentConfig& config, const Runtime& runtime, const ImportRequest& request) {
  const auto experiment = build_experiment(config, runtime, DataUse::load);
  auto base = experiment.bases.empty() ? std::vector<NamedTensor>{} : of_the_base(*experiment.model);
  for (auto& tensor : base) tensor.tensor = tensor.tensor.clone();
  const auto report = import_weights(request.weights, *experiment.model, request.options);
  if (!base.empty()) check_same_base(base, *experiment.model, request);
  RunFolder run(request.run, dump_config(config), RunStart::fresh);
  Trainer trainer(
      {.model = experiment.model,
       .objective = experiment.objective,
       .loader = std::make_shared<Loader>(experiment.dataset, experiment.dataset->batch_size(), experiment.seed(),
                                          experiment.objective->couples_batch() ? ShortBatch::drop : ShortBatch::keep),
       .optimizer = config.optimizer,
       .config = config.training,
       .device = runtime.device,
       .seed = experiment.seed(),
       .data_sha256 = experiment.dataset->fingerprint(),
       .data_spec = experiment.dataset->spec(),
       .bases = experiment.bases,
       .run = &run});
  trainer.write_checkpoint();
  return report;
}

}  // namespace elbo
