#include "elbo/experiment/experiment.h"

#include <cmath>

#include "elbo/aggregators/aggregator.h"
#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/text.h"
#include "elbo/config/yaml.h"
#include "elbo/data/kind_name.h"
#include "elbo/distributions/likelihood.h"
#include "elbo/distributions/posterior.h"
#include "elbo/distributions/prior.h"
#include "elbo/evaluation/metric.h"
#include "elbo/experiment/base.h"
#include "elbo/math/init.h"
#include "elbo/models/abilities.h"
#include "elbo/nn/network.h"
#include "elbo/training/check.h"

namespace elbo {
namespace {

std::shared_ptr<Model> build_model(const ExperimentConfig& config, const DataSpec& spec, const Tensor& training_mean,
                                   at::Device device, const std::shared_ptr<Model>& base) {
  Stream init(static_cast<uint64_t>(config.seed), "init", at::kCPU);
  try {
    auto model = config.model.make({.spec = spec, .init = init, .training_mean = training_mean, .device = device, .base = base});
    if (base && !model->named_children().contains("base")) {
      throw ConfigError(config.model.str() + " builds on no other run; leave `base` out, or take a model that does (code_prior)");
    }
    return model;
  } catch (const c10::Error& error) {
    throw ConfigError(config.model.str() + " can't be built: " + error.what_without_backtrace());
  } catch (const std::bad_alloc&) {
    throw ConfigError(config.model.str() + " can't be built: it needs more memory than there is");
  }
}

std::shared_ptr<Objective> build_objective(const ExperimentConfig& config, const DataSpec& spec, Model& model,
                                           at::Device device) {
  return config.objective.make(model, {.device = device,
                                       .objective = config.objective.str(),
                                       .model = config.model.str(),
                                       .spec = spec,
                                       .seed = static_cast<uint64_t>(config.seed)});
}

/// The likelihood's parameters and their gradients alone, for every sample of a batch, must fit into memory.
void check_batch_memory(const ExperimentConfig& config, const Dataset& dataset, const Objective& objective) {
  double elements = 0;
  for (const auto& [name, field] : dataset.spec()) elements += static_cast<double>(c10::multiply_integers(field.shape));
  const double bytes =
      2 * sizeof(float) * elements * static_cast<double>(dataset.batch_size()) * static_cast<double>(objective.samples());
  const double memory = physical_memory();
  if (bytes <= memory) return;
  throw ConfigError(text(config.objective.str(), ": ", with_commas(objective.samples()), " samples of ",
                         with_commas(dataset.batch_size()), " examples take more than ", std::llround(bytes / 1e9),
                         " GB a step, this machine has ", std::llround(memory / 1e9),
                         " GB; lower objective.samples or data.batch_size"));
}

/// What the components do not say until they meet (a divergence without a closed form, an estimator that this model can't have)
/// is asked of one row of zeros, before data is read and a run folder made.
void check_together(const ExperimentConfig& config, const Dataset& dataset, const std::shared_ptr<Model>& base) {
  const torch::NoGradGuard no_grad;
  const auto model = build_model(config, dataset.spec(), {}, at::kCPU, base);
  const auto objective = build_objective(config, dataset.spec(), *model, at::kCPU);
  check_batch_memory(config, dataset, *objective);
  check_training(config.training, {*model, *objective, dataset.batch_size(), config.objective.str()});
  const auto row = blank_rows(dataset.spec(), 1);
  Streams streams(0, at::kCPU);
  Collective alone;
  Step step{.index_tensor = torch::zeros({}, torch::kLong),
            .training = false,
            .noise = streams.noise,
            .streams = streams,
            .collective = alone};
  model->eval();
  objective->eval();
  objective->losses(row, step);
}

Experiment build(const ExperimentConfig& config, const Runtime& runtime, const DataSpec& spec, const Tensor& training_mean,
                 const std::shared_ptr<Model>& base) {
  Experiment experiment{.config = config, .runtime = runtime};
  experiment.model = build_model(config, spec, training_mean, runtime.device, base);
  experiment.model->to(runtime.device);
  experiment.objective = build_objective(config, spec, *experiment.model, runtime.device);
  experiment.objective->to(runtime.device);
  auto& metrics = experiment.config.evaluation.metrics;
  if (metrics.empty()) metrics = default_metrics(*experiment.model, spec);
  return experiment;
}

Base base_of(const ExperimentConfig& config, const Checkpoint* continued, at::Device device) {
  if (!config.base) return {};
  if (!continued) return load_base(*config.base, device);
  const auto& records = continued->state().bases;
  return {.model = rebuild_base(records, device), .records = records};
}

/// The base reads what it was trained on.
void check_same_field(const DataSpec& spec, const Base& base) {
  if (!base.model) return;
  const auto& record = base.records.front();
  const auto known = record.data_spec.find("x");
  const auto here = spec.find("x");
  if (known == record.data_spec.end() || here == spec.end()) return;
  if (known->second.shape == here->second.shape && known->second.kind == here->second.kind) return;
  throw ConfigError(text("data: x is ", kind_name(here->second.kind), " of shape ", shape_text(here->second.shape), ", the base ",
                         record.run, " was trained on ", kind_name(known->second.kind), " of shape ",
                         shape_text(known->second.shape), "; take the base's data section"));
}

/// Splits follow the first stage's seed: with a second stage's own, rows that the base was trained on would be among its test
/// rows.
std::shared_ptr<Dataset> build_dataset(const ExperimentConfig& config, const Runtime& runtime,
                                       const std::vector<BaseRecord>& bases) {
  return config.data.make(
      {.root = runtime.data_root, .seed = bases.empty() ? static_cast<uint64_t>(config.seed) : seed_of(bases.back())});
}

void warn_of_other_data(const Dataset& dataset, const std::vector<BaseRecord>& bases) {
  if (bases.empty() || dataset.fingerprint() == bases.front().data_sha256) return;
  log_warn(text("the data are not those that the base ", bases.front().run,
                " was trained on: it may have seen rows that are validation or test rows here"));
}

}  // namespace

Experiment build_experiment(const ExperimentConfig& config, const Runtime& runtime, DataUse use, const Checkpoint* continued) {
  const auto base = base_of(config, continued, runtime.device);
  const auto dataset = build_dataset(config, runtime, base.records);
  check_same_field(dataset->spec(), base);
  Tensor training_mean;
  if (use == DataUse::load) {
    check_together(config, *dataset, base.model);
    dataset->load(runtime.device);
    warn_of_other_data(*dataset, base.records);
    training_mean = dataset->training_mean();
  }
  auto experiment = build(config, runtime, dataset->spec(), training_mean, base.model);
  experiment.bases = base.records;
  experiment.dataset = dataset;
  return experiment;
}

OpenedRun open_run(const std::filesystem::path& run, const Runtime& runtime, DataUse use) {
  OpenedRun opened{.run = run, .checkpoint = Checkpoint(find_checkpoint(run))};
  const auto config =
      read_config<ExperimentConfig>(parse_yaml(opened.checkpoint.config_yaml(), opened.checkpoint.config_path().string()));
  const auto& state = opened.checkpoint.state();
  opened.experiment = build(config, runtime, state.data_spec, {}, rebuild_base(state.bases, runtime.device));
  opened.experiment.bases = state.bases;
  opened.checkpoint.load_model(*opened.experiment.model);
  opened.checkpoint.load_objective(*opened.experiment.objective);
  if (use == DataUse::load) {
    const auto dataset = build_dataset(config, runtime, state.bases);
    dataset->load(runtime.device);
    if (dataset->fingerprint() != state.data_sha256) {
      log_warn(text("the data are not those that ", run.string(), " was trained on (SHA-256 ", state.data_sha256, ", now ",
                    dataset->fingerprint(), ")"));
    }
    opened.experiment.dataset = dataset;
  }
  opened.experiment.model->eval();
  opened.experiment.objective->eval();
  return opened;
}

const std::vector<const CatalogBase*>& all_catalogs() {
  static const std::vector<const CatalogBase*> catalogs = {
      &aggregators(), &code_priors(), &datasets(),   &decoders(),   &encoders(), &likelihoods(), &metrics(),
      &models(),      &objectives(),  &optimizers(), &posteriors(), &priors(),   &quantizers(),  &schedules()};
  return catalogs;
}

}  // namespace elbo
