#include "elbo/experiment/base.h"

#include <algorithm>
#include <filesystem>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/config/yaml.h"

namespace elbo {
namespace {

bool has_checkpoints(const std::filesystem::path& folder) { return std::filesystem::exists(folder / "checkpoints" / "last"); }

/// The folder itself, or the newest of the runs in it: their names are times.
std::filesystem::path run_in(const std::filesystem::path& folder) {
  if (has_checkpoints(folder) || !std::filesystem::is_directory(folder)) return folder;
  std::filesystem::path newest;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (has_checkpoints(entry.path())) newest = std::max(newest, entry.path());
  }
  return newest.empty() ? folder : newest;
}

std::vector<std::string> checkpoint_names_in(const std::filesystem::path& run) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(run / "checkpoints", ignored)) {
    if (std::filesystem::exists(entry.path() / "state.json")) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::filesystem::path checkpoint_of(const BaseConfig& config) {
  const auto run = run_in(config.run);
  if (!std::filesystem::exists(run)) {
    throw ConfigError("base.run: there is no " + in_quotes(config.run) +
                      "; train the base first, or name its run: --set base.run=FOLDER");
  }
  if (config.checkpoint == "best") return find_checkpoint(run);
  if (std::filesystem::exists(run / "state.json")) {
    throw ConfigError("base.checkpoint: got " + in_quotes(config.checkpoint) + ", and base.run, " + in_quotes(run.string()) +
                      ", is a checkpoint already; leave base.checkpoint out or name the run's folder");
  }
  const auto names = checkpoint_names_in(run);
  if (std::find(names.begin(), names.end(), config.checkpoint) == names.end()) {
    throw ConfigError("base.checkpoint: got " + in_quotes(config.checkpoint) + ", and " + run.string() +
                      (names.empty() ? " has no checkpoint" : " has " + join(names, ", ")));
  }
  return find_checkpoint(run / "checkpoints" / config.checkpoint);
}

/// Says which key led to the folder.
Checkpoint opened_base(const BaseConfig& config) {
  try {
    return Checkpoint(checkpoint_of(config));
  } catch (const CheckpointError& error) {
    throw CheckpointError(std::string("base.run: ") + error.what());
  }
}

ExperimentConfig config_of(const BaseRecord& record) {
  return read_config<ExperimentConfig>(parse_yaml(record.config_yaml, "config of the base " + record.run));
}

}  // namespace

uint64_t seed_of(const BaseRecord& record) { return static_cast<uint64_t>(config_of(record).seed); }

std::shared_ptr<Model> rebuild_base(std::span<const BaseRecord> records, at::Device device) {
  if (records.empty()) return nullptr;
  const auto& record = records.front();
  const auto config = config_of(record);
  Stream init(static_cast<uint64_t>(config.seed), "init", at::kCPU);
  auto model = config.model.make(
      {.spec = record.data_spec, .init = init, .device = device, .base = rebuild_base(records.subspan(1), device)});
  model->eval();
  for (auto& parameter : model->parameters()) parameter.requires_grad_(false);
  return model;
}

Base load_base(const BaseConfig& config, at::Device device) {
  const auto checkpoint = opened_base(config);
  Base base;
  base.records.push_back({.run = run_in(config.run).string(),
                          .checkpoint = checkpoint.folder().filename().string(),
                          .config_yaml = checkpoint.config_yaml(),
                          .weights_sha256 = checkpoint.model_sha256(),
                          .data_sha256 = checkpoint.state().data_sha256,
                          .data_spec = checkpoint.state().data_spec});
  const auto& deeper = checkpoint.state().bases;
  base.records.insert(base.records.end(), deeper.begin(), deeper.end());
  base.model = rebuild_base(base.records, device);
  checkpoint.load_model(*base.model);
  return base;
}

}  // namespace elbo
