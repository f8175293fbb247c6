#include "multimodal.h"

#include <algorithm>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/distributions/kl.h"

namespace elbo::detail {

const Expert& expert_named(const std::vector<Expert>& experts, std::string_view name) {
  for (const auto& expert : experts) {
    if (expert.name == name) return expert;
  }
  throw UsageError(text("there is no expert '", name, "'"));
}

Tensor num_present(const std::vector<Expert>& experts, const Subset& modalities) {
  Tensor total;
  for (const auto& modality : modalities) {
    const auto& expert = expert_named(experts, modality);
    const auto options = expert.mean.options().requires_grad(false);
    total = plus(total, expert.present.defined() ? expert.present.to(options) : torch::ones({expert.mean.size(0)}, options));
  }
  return total;
}

Tensor where_present(const Expert& expert, const Tensor& t) {
  return expert.present.defined() ? torch::where(expert.present, t, torch::zeros({}, t.options())) : t;
}

Tensor private_kl(const Latents& latents) {
  Tensor total;
  for (const auto& layer : latents.layers) {
    if (layer.name != "z") total = plus(total, kl(*layer.q, *layer.p));
  }
  return total;
}

Tensor plus(const Tensor& a, const Tensor& b) { return !a.defined() ? b : !b.defined() ? a : a + b; }

std::string private_layer(const std::string& modality) { return "private." + modality; }

void need_aggregation(const Multimodal& model, const std::vector<std::string_view>& types, const ObjectiveContext& context) {
  const auto type = model.aggregator().name();
  if (std::find(types.begin(), types.end(), type) != types.end()) return;
  std::string wanted;
  for (const auto& name : types) wanted += (wanted.empty() ? "" : " or ") + std::string(name);
  throw ConfigError(text(context.objective, " needs model.aggregation ", wanted, "; ", context.model, " has ", type));
}

}  // namespace elbo::detail
