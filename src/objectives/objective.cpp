#include "elbo/objectives/objective.h"

#include "elbo/base/error.h"

namespace elbo {

std::vector<Phase> Objective::phases(Model& model) {
  Phase phase;
  for (const auto* module : {static_cast<torch::nn::Module*>(&model), static_cast<torch::nn::Module*>(this)}) {
    for (auto& parameter : module->parameters()) {
      if (parameter.requires_grad()) phase.parameters.push_back(parameter);
    }
  }
  phase.losses = [this](const Batch& batch, Step& step) { return losses(batch, step); };
  return {phase};
}

void detail::throw_wrong_family(const Model& model, std::string_view needed, const ObjectiveContext& context) {
  throw ConfigError(context.objective + " needs a " + std::string(needed) + " model; " + context.model + " is " +
                    std::string(model.family()));
}

}  // namespace elbo
