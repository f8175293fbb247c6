#include "elbo/training/check.h"

#include <algorithm>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/math/couples_batch.h"

namespace elbo {
namespace {

/// "batch normalisation of model.decoder.layers.1", or nothing.
std::string coupling_below(const torch::nn::Module& root, const std::string& path) {
  const auto name_of = [&](const std::string& name) { return name.empty() ? path : path + "." + name; };
  if (const auto* own = dynamic_cast<const CouplesBatch*>(&root); own && !own->couples_batch_by().empty())
    return std::string(own->couples_batch_by()) + " of " + path;
  for (const auto& item : root.named_modules("", /*include_self=*/false)) {
    const auto* module = dynamic_cast<const CouplesBatch*>(item.value().get());
    if (module && !module->couples_batch_by().empty())
      return std::string(module->couples_batch_by()) + " of " + name_of(item.key());
  }
  return {};
}

}  // namespace

std::string batch_coupling(const Model& model, const Objective& objective, const std::string& objective_name) {
  if (objective.couples_batch()) return objective_name;
  const auto of_model = coupling_below(model, "model");
  return of_model.empty() ? coupling_below(objective, "objective") : of_model;
}

void check_training(const TrainingConfig& config, const TrainingCheck& parts) {
  if (config.accumulate > 1) {
    if (parts.batch_size % config.accumulate != 0) {
      throw ConfigError(text("training.accumulate: ", config.accumulate, " parts do not divide a batch of ", parts.batch_size,
                             " rows (data.batch_size) evenly"));
    }
    const auto coupling = batch_coupling(parts.model, parts.objective, parts.objective_name);
    if (!coupling.empty()) {
      throw ConfigError(text("training.accumulate: ", config.accumulate, ", but ", coupling,
                             " couples the examples of a batch, so its parts would give another loss; leave accumulate at 1"));
    }
  }
  if (config.phases.empty()) return;
  std::vector<std::string> names;
  for (const auto& phase : parts.objective.phases(parts.model)) names.push_back(phase.name);
  for (const auto& entry : config.phases) {
    const auto& name = entry.first;
    if (std::find(names.begin(), names.end(), name) != names.end()) continue;
    throw ConfigError(text("training.phases: ", in_quotes(name), " is no phase of ", parts.objective_name,
                           did_you_mean(name, names, "its phases are " + join(names, ", "))));
  }
}

}  // namespace elbo
