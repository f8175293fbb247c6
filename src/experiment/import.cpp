#include "elbo/experiment/import.h"

#include "elbo/config/dump.h"
#include "elbo/training/trainer.h"

namespace elbo {

ImportReport import_run(const ExperimentConfig& config, const Runtime& runtime, const ImportRequest& request) {
  const auto experiment = build_experiment(config, runtime, DataUse::load);
  const auto report = import_weights(request.weights, *experiment.model, request.options);
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
