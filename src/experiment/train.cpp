#include <ATen/Parallel.h>

#include <chrono>
#include <cstdio>
#include <ctime>

#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/text.h"
#include "elbo/config/dump.h"
#include "elbo/evaluation/hook.h"
#include "elbo/experiment/base.h"
#include "elbo/math/init.h"
#include "elbo/training/check.h"
#include "elbo/training/log_hooks.h"
#include "elbo/training/trainer.h"

namespace elbo {
namespace {

std::string utc_time() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm utc = {};
  gmtime_r(&now, &utc);
  char text[32] = {};
  std::strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &utc);
  return text;
}

std::string headline(const Experiment& experiment, const std::filesystem::path& run) {
  const auto& device = experiment.runtime.device;
  std::string builds_on;
  if (!experiment.bases.empty()) builds_on = text("   base ", experiment.bases[0].run, ", ", experiment.bases[0].checkpoint);
  return text(experiment.config.name, "   ", experiment.config.model.type(), " ", experiment.model->summary(), ", ",
              count_of(num_parameters(*experiment.model), "parameter"), "   ",
              device.is_cpu() ? text("cpu, ", count_of(at::get_num_threads(), "thread")) : device.str(), "   run ", run.string(),
              builds_on);
}

/// runs/<name>/<UTC time>, taken at once, so that two trainings started in the same second do not meet.
std::filesystem::path new_run_folder(const std::string& name) {
  const auto base = std::filesystem::path("runs") / name;
  const auto time = utc_time();
  std::error_code error;
  std::filesystem::create_directories(base, error);
  for (int copy = 1;; ++copy) {
    const auto path = base / (copy == 1 ? time : text(time, "-", copy));
    if (std::filesystem::create_directory(path, error) || error) return path;  // RunFolder reports the error
  }
}

/// Runs to the end; whatever ends it earlier is in log.txt too, whose folder is closed before the program reports it.
TrainingResult trained(Trainer& trainer, RunStart start) {
  try {
    if (start == RunStart::resume) trainer.resume();
    return trainer.run();
  } catch (const std::exception& error) {
    log_debug(text("ended: ", error.what()));
    throw;
  }
}

/// The names that an evaluation gives are known when one has been made: of a few rows, before there is a run folder.
void check_evaluation_early(const ExperimentConfig& config, const Experiment& experiment) {
  const EvaluationHookParts parts{.model = experiment.model,
                                  .objective = experiment.objective,
                                  .dataset = experiment.dataset,
                                  .device = experiment.runtime.device};
  make_evaluation_hook(config.evaluation, parts);  // throws where a metric is not for this model or these data
  const auto& monitor = config.training.monitor;
  if (!config.training.chooses_best()) {
    if (follows_evaluation(dump_config(config)))
      throw ConfigError("training.monitor: none leaves the plateau schedule nothing to follow; name an evaluated value");
    return;
  }
  if (monitor == "valid/bound" || monitor == "-valid/bound") return;  // always there
  auto few = config.evaluation;
  few.limit = std::min(experiment.dataset->batch_size(), experiment.dataset->size(Split::valid));
  few.samples = 1;
  few.pictures = 0;
  NamedValues values;
  try {
    values =
        make_evaluation_hook(few, parts)->evaluate({.step = 1, .clock = {.step = 1, .steps_per_epoch = 1, .total_steps = 1}});
  } catch (const Error& error) {
    log_debug(text("training.monitor is not checked before the first evaluation: ", error.what()));
    return;
  }
  check_monitor(monitor, values);
}

/// What decides whether monitored values may be compared.
std::string measured_on(const ExperimentConfig& config) {
  const bool samples_count = config.training.monitor.find("log_likelihood") != std::string::npos;
  return text("evaluation.limit ", config.evaluation.limit,
              samples_count ? text(", evaluation.samples ", config.evaluation.samples) : "");
}

/// A run's config of an earlier version: options that came since have their defaults.
Node in_full(const Node& config) {
  try {
    return dump_config(read_config<ExperimentConfig>(config));
  } catch (const ConfigError&) {
    return config;  // the comparison tells what differs
  }
}

/// The checkpoint of a second stage that goes on: it stands alone, so that its base need not be there any more.
std::optional<Checkpoint> continued_stage(const ExperimentConfig& config, const TrainRequest& request) {
  if (!config.base || request.start != RunStart::resume || !request.run) return {};
  const auto newest = newest_checkpoint(*request.run / "checkpoints");  // as the trainer will take it
  if (!newest) return {};
  Checkpoint checkpoint(*newest);
  if (checkpoint.state().bases.empty()) return {};  // another run: the comparison of configs tells it
  return checkpoint;
}

}  // namespace

std::filesystem::path train(const ExperimentConfig& config, const Runtime& runtime, const TrainRequest& request) {
  const auto continued = continued_stage(config, request);
  auto experiment = build_experiment(config, runtime, DataUse::load, continued ? &*continued : nullptr);
  if (request.run) check_run_folder(*request.run, dump_config(experiment.config), request.start, in_full);
  if (continued) continued->load_model(*experiment.model);  // before its base encodes anything
  if (auto* prior = dynamic_cast<CodePriorModel*>(experiment.model.get())) {
    experiment.dataset = encoded_set(experiment.dataset, *prior, runtime.device);
  }
  const auto coupling = batch_coupling(*experiment.model, *experiment.objective);
  auto loader = std::make_shared<Loader>(experiment.dataset, experiment.dataset->batch_size(), experiment.seed(),
                                         coupling.empty() ? ShortBatch::keep : ShortBatch::drop);
  check_evaluation_early(experiment.config, experiment);
  const auto path = request.run ? *request.run : new_run_folder(config.name);
  RunFolder run(path, dump_config(experiment.config), request.start, in_full);
  log_info(headline(experiment, path));
  const EvaluationHookParts measured{.model = experiment.model,
                                     .objective = experiment.objective,
                                     .dataset = experiment.dataset,
                                     .device = runtime.device,
                                     .run = &run};
  Trainer trainer({.model = experiment.model,
                   .objective = experiment.objective,
                   .loader = loader,
                   .optimizer = config.optimizer,
                   .config = config.training,
                   .device = runtime.device,
                   .seed = experiment.seed(),
                   .data_sha256 = experiment.dataset->fingerprint(),
                   .data_spec = experiment.dataset->spec(),
                   .bases = experiment.bases,
                   .measured = measured_on(config),
                   .log_performance = true,
                   .run = &run,
                   .hooks = {make_evaluation_hook(experiment.config.evaluation, measured), make_metrics_log(run),
                             make_events_log(run), make_progress_line({.num_examples = loader->num_examples(), .unit = "img"})}});
  const auto result = trained(trainer, request.start);
  if (result.best) {
    char value[32];  // for reading: metrics.jsonl keeps every digit
    std::snprintf(value, sizeof value, "%.6g", result.best->value);
    log_info(text("best ", config.training.monitor, " ", value, " at step ", with_commas(result.best->step)));
  }
  log_info(text("run ", path.string(), ": elbo evaluate, sample and reconstruct take it from here"));
  return path;
}

}  // namespace elbo
