#include <filesystem>

#include "command.h"
#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/text.h"
#include "elbo/training/signals.h"

namespace elbo {
namespace {

/// A run that goes on has its own configuration.
std::string config_of(const CommandLine& line) {
  if (!line.positional().empty()) return line.positional()[0];
  if (!line.has("resume")) throw UsageError("elbo train: got 0 arguments, expected 1 (CONFIG.yaml); see elbo train --help");
  const auto run = line.get<std::string>("run");
  auto config = std::filesystem::path(run) / "config.yaml";
  if (!std::filesystem::exists(config))
    throw UsageError("--resume: there is no run in " + in_quotes(run) + " to continue; name the CONFIG.yaml that starts one");
  return config.string();
}

}  // namespace

int run_train(const std::vector<std::string>& words) {
  CommandLine line(
      "train",
      "Trains the experiment of a YAML file into a run folder: checkpoints, metrics.jsonl, TensorBoard events, pictures.",
      "CONFIG.yaml",
      {"elbo train configs/fashion_mnist/vae.yaml",
       "elbo train configs/digits/vae.yaml --set training.epochs=5 --set model.latent_size=2",
       "elbo train configs/fashion_mnist/iwae.yaml --run runs/iwae --resume", "elbo train --resume --run runs/iwae"});
  line.add()("set", "KEY=VALUE, on top of the file; may be given again", cxxopts::value<std::vector<std::string>>());
  line.add()("run", "folder of the run; default runs/<name>/<UTC time>", cxxopts::value<std::string>());
  line.add()("resume",
             "continue the run in --run from its last checkpoint, by CONFIG.yaml or else its own; starts where there is none");
  line.add()("seed", "the run's seed, instead of the file's", cxxopts::value<int64_t>());
  line.add()("quiet", "warnings and errors only");
  line.add_runtime();
  if (!line.parse(words, 0, 1)) return 0;

  auto overrides = line.find<std::vector<std::string>>("set").value_or(std::vector<std::string>{});
  if (line.has("seed")) overrides.push_back("seed=" + std::to_string(line.integer("seed", 0, 4294967295)));
  // The default folder is named by the time: there can be nothing in it to continue.
  if (line.has("resume") && !line.has("run")) throw UsageError("--resume: name the folder of the run with --run");
  if (line.has("quiet")) set_log_level(LogLevel::warn);
  const auto config = load_experiment(config_of(line), overrides);
  TrainRequest request{.start = line.has("resume") ? RunStart::resume : RunStart::fresh};
  if (const auto run = line.find<std::string>("run")) request.run = *run;
  const auto runtime = line.runtime();
  const SignalScope signals;
  train(config, runtime, request);
  return 0;
}

}  // namespace elbo
