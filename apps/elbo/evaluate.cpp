#include <algorithm>
#include <limits>

#include "command.h"
#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/progress.h"
#include "elbo/base/text.h"
#include "elbo/evaluation/evaluator.h"
#include "elbo/evaluation/recorded_noise.h"
#include "elbo/evaluation/subsets.h"
#include "modalities.h"
#include "output.h"

namespace elbo {
namespace {

/// One line a metric on standard error.
std::function<void(const EvaluationProgress&)> progress_lines() {
  auto bar = std::make_shared<std::unique_ptr<Progress>>();
  auto current = std::make_shared<std::string>();
  return [bar, current](const EvaluationProgress& progress) {
    if (*current != progress.metric) {
      *current = progress.metric;
      *bar = std::make_unique<Progress>(*current, progress.total, std::string(progress.unit));
    }
    (*bar)->update(progress.done);
    if (progress.done >= progress.total) (*bar)->finish();
  };
}

void check_outputs(const CommandLine& line) {
  std::vector<std::pair<std::string, std::string>> earlier;
  for (const auto& option : std::vector<std::string>{"save-noise", "per-example", "json"}) {
    const auto path = line.find<std::string>(option);
    if (!path || (option == "json" && *path == "-")) continue;
    check_output_folder(option, *path);
    const auto extension = ending(*path);
    if (option == "per-example" && extension != ".csv" && extension != ".npz")
      throw UsageError("--per-example: got " + in_quotes(*path) + ", expected a name that ends in .csv or .npz");
    for (const auto& [other, written] : earlier) {
      if (same_file(*path, written))
        throw UsageError("--" + option + ": " + in_quotes(*path) + " is what --" + other + " writes; choose another name");
    }
    earlier.emplace_back(option, *path);
  }
}

}  // namespace

int run_evaluate(const std::vector<std::string>& words) {
  CommandLine line("evaluate", "Measures a run (its best checkpoint, else its last) or one checkpoint of it.", "RUN",
                   {"elbo evaluate runs/fashion_mnist/vae/20260101T000000Z",
                    "elbo evaluate RUN --metrics log_likelihood --samples 5000 --limit 1000",
                    "elbo evaluate RUN/checkpoints/last --split valid --json -",
                    "elbo evaluate RUN --metrics coherence,log_likelihood --subsets all",
                    "elbo evaluate RUN --metrics log_likelihood --subsets 'image;image,label'"});
  line.add()("metrics", "names, separated by commas; elbo list metric tells them; default: the config's",
             cxxopts::value<std::string>());
  line.add()("split", "train, valid or test", cxxopts::value<std::string>()->default_value("test"));
  line.add()("samples", "importance samples K an example; default: the config's", cxxopts::value<int64_t>());
  line.add()("subsets",
             "of a model of several modalities: which of them are given, for log_likelihood and coherence: all, singles, full or "
             "names such as 'image;image,label'",
             cxxopts::value<std::string>());
  line.add()("limit", "only the first N rows of the split; 0 for all", cxxopts::value<int64_t>()->default_value("0"));
  line.add()("batch-size", "rows at once; changes no number beyond rounding", cxxopts::value<int64_t>()->default_value("128"));
  line.add()("seed", "seed of the evaluation's noise: the same seed compares runs on the same numbers",
             cxxopts::value<int64_t>()->default_value("0"));
  line.add()("save-noise", "write the noise that metric elbo used, as npz", cxxopts::value<std::string>());
  line.add()("per-example", "write a row an example, as .csv or .npz", cxxopts::value<std::string>());
  line.add()("json", "write one JSON object to a file, or to standard output for -", cxxopts::value<std::string>());
  line.add()("quiet", "no progress");
  line.add_runtime();
  if (!line.parse(words, 1, 1)) return 0;

  if (line.has("quiet")) set_log_level(LogLevel::warn);
  const auto split = split_named(line.get<std::string>("split"));
  const auto largest = std::numeric_limits<int64_t>::max();
  const auto limit = line.integer("limit", 0, largest);
  const auto samples = line.has("samples") ? line.integer("samples", 1, 10'000'000) : 0;
  const auto batch_size = line.integer("batch-size", 1, int64_t{1} << 20);
  const auto seed = line.integer("seed", 0, 4294967295);
  std::optional<SubsetChoice> subsets;
  if (const auto given = line.find<std::string>("subsets")) subsets = subsets_named(*given);
  std::vector<std::string> names;
  if (const auto given = line.find<std::string>("metrics")) names = elbo::split(*given, ',');
  for (auto& name : names) name = std::string(trim(name));
  for (const auto& name : names) metrics().get(name);  // a misspelt name fails before anything is read
  check_outputs(line);

  auto opened = open_run(line.positional()[0], line.runtime(), DataUse::load);
  auto& experiment = opened.experiment;
  if (names.empty()) names = experiment.config.evaluation.metrics;
  if (line.has("save-noise") && std::find(names.begin(), names.end(), "elbo") == names.end())
    throw UsageError("--save-noise: saves what the metric elbo draws; add elbo to --metrics");
  const auto asked = [&](const char* name) { return std::find(names.begin(), names.end(), name) != names.end(); };
  if (samples > 0 && !asked("log_likelihood") && !asked("bits_per_dim"))
    log_warn("--samples is for the metrics log_likelihood and bits_per_dim, neither of which is among --metrics");
  if (subsets && !multimodal(*experiment.model)) {
    throw UsageError(text("--subsets is for models of several modalities; this one is ", experiment.config.model.type(),
                          ", which has one: leave it out"));
  }
  if (subsets && !asked("log_likelihood") && !asked("coherence") && !asked("latent_classification"))
    log_warn(
        "--subsets is for the metrics log_likelihood, coherence and latent_classification, none of which is among --metrics");
  EvaluationContext context{.model = *experiment.model,
                            .objective = experiment.objective.get(),
                            .dataset = experiment.dataset,
                            .split = split,
                            .limit = limit,
                            .samples = samples > 0 ? samples : experiment.config.evaluation.samples,
                            .seed = static_cast<uint64_t>(seed),
                            .device = experiment.runtime.device,
                            .batch_size = batch_size,
                            .subsets = subsets,
                            .cache = opened.run / "classifiers"};
  if (!line.has("quiet")) context.progress = progress_lines();
  GranuleNoise source(context.seed, context.device);
  RecordingNoise recording(source);
  if (line.has("save-noise")) context.elbo_noise = &recording;
  const auto result = evaluate(context, names);

  if (const auto path = line.find<std::string>("save-noise")) recording.write(*path);
  if (const auto path = line.find<std::string>("per-example")) write_per_example(result, *path);
  // Not the folder's name: `last` and `best` are links that may point elsewhere by now.
  const auto checkpoint = "step-" + std::to_string(opened.checkpoint.state().step);
  const auto json = line.find<std::string>("json");
  if (json) {
    const EvaluationOrigin origin{.run = opened.run.string(),
                                  .checkpoint = checkpoint,
                                  .config = experiment.config.name,
                                  .weights_sha256 = opened.checkpoint.model_sha256(),
                                  .data_sha256 = experiment.dataset->fingerprint(),
                                  .device = experiment.runtime.device.str(),
                                  .limit = limit};
    write_output(*json, to_json(result, origin).dump(2) + "\n");
  }
  if (json != "-") {
    write_output("-", text(opened.run.string(), ", ", checkpoint, ", ", line.get<std::string>("split"), ", ",
                           count_of(result.num_examples, "example"), "\n", to_text(result)));
  }
  return 0;
}

}  // namespace elbo
