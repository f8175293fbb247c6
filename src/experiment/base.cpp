#include "elbo/experiment/base.h"

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/config/yaml.h"

namespace elbo {
namespace {

std::filesystem::path checkpoint_of(const BaseConfig& config) {
  const std::filesystem::path run(config.run);
  if (!std::filesystem::exists(run)) {
    throw ConfigError("base.run: there is no " + in_quotes(config.run) +
                      "; train the base first, or name its run: --set base.run=runs/…");
  }
  return find_checkpoint(config.checkpoint == "best" ? run : run / "checkpoints" / config.checkpoint);
}

}  // namespace

std::shared_ptr<Model> rebuild_base(std::span<const BaseRecord> records, at::Device device) {
  if (records.empty()) return nullptr;
  const auto& record = records.front();
  const auto config = read_config<ExperimentConfig>(parse_yaml(record.config_yaml, "config of the base " + record.run));
  Stream init(static_cast<uint64_t>(config.seed), "init", at::kCPU);
  auto model = config.model.make(
      {.spec = record.data_spec, .init = init, .device = device, .base = rebuild_base(records.subspan(1), device)});
  model->eval();
  for (auto& parameter : model->parameters()) parameter.requires_grad_(false);
  return model;
}

Base load_base(const BaseConfig& config, at::Device device) {
  const Checkpoint checkpoint(checkpoint_of(config));
  Base base;
  base.records.push_back({.run = config.run,
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
