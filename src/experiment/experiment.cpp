#include "elbo/experiment/experiment.h"

#include "elbo/base/error.h"
#include "elbo/config/yaml.h"
#include "elbo/distributions/likelihood.h"
#include "elbo/distributions/posterior.h"
#include "elbo/distributions/prior.h"
#include "elbo/evaluation/metric.h"
#include "elbo/nn/network.h"

namespace elbo {
namespace {

std::shared_ptr<Model> build_model(const ExperimentConfig& config, const Dataset& dataset, const Tensor& training_mean) {
  Stream init(static_cast<uint64_t>(config.seed), "init", at::kCPU);
  try {
    return config.model.make({.spec = dataset.spec(), .init = init, .training_mean = training_mean});
  } catch (const c10::Error& error) {
    throw ConfigError(config.model.str() + " can't be built: " + error.what_without_backtrace());
  } catch (const std::bad_alloc&) {
    throw ConfigError(config.model.str() + " can't be built: it needs more memory than there is");
  }
}

Experiment build(const ExperimentConfig& config, const Runtime& runtime, DataUse use, bool fresh) {
  Experiment experiment{.config = config, .runtime = runtime};
  experiment.dataset = config.data.make({.root = runtime.data_root, .seed = experiment.seed()});
  Tensor training_mean;
  if (use == DataUse::load) {
    build_model(config, *experiment.dataset, {});  // sizes must fit before the data is read
    experiment.dataset->load(runtime.device);
    if (fresh) training_mean = experiment.dataset->training_mean().cpu();
  }
  experiment.model = build_model(config, *experiment.dataset, training_mean);
  experiment.model->to(runtime.device);
  experiment.objective = config.objective.make(
      *experiment.model, {.device = runtime.device, .objective = config.objective.str(), .model = config.model.str()});
  experiment.objective->to(runtime.device);
  return experiment;
}

}  // namespace

Experiment build_experiment(const ExperimentConfig& config, const Runtime& runtime, DataUse use) {
  return build(config, runtime, use, /*fresh=*/true);
}

OpenedRun open_run(const std::filesystem::path& run, const Runtime& runtime, DataUse use) {
  OpenedRun opened{.run = run, .checkpoint = Checkpoint(find_checkpoint(run))};
  const auto config =
      read_config<ExperimentConfig>(parse_yaml(opened.checkpoint.config_yaml(), opened.checkpoint.config_path().string()));
  opened.experiment = build(config, runtime, use, /*fresh=*/false);
  opened.checkpoint.load_model(*opened.experiment.model);
  opened.experiment.model->eval();
  return opened;
}

const std::vector<const CatalogBase*>& all_catalogs() {
  static const std::vector<const CatalogBase*> catalogs = {&datasets(),   &decoders(), &encoders(),   &likelihoods(),
                                                           &metrics(),    &models(),   &objectives(), &optimizers(),
                                                           &posteriors(), &priors(),   &schedules()};
  return catalogs;
}

}  // namespace elbo
