#pragma once
#include "elbo/models/family.h"
#include "elbo/objectives/objective.h"

namespace elbo::detail {

/// The expert of this name. Throws: UsageError where there is none.
const Expert& expert_named(const std::vector<Expert>& experts, std::string_view name);

/// The number of modalities that each row has. Shapes: [B].
Tensor num_present(const std::vector<Expert>& experts, const Subset& modalities);

/// t where the expert is present, else 0. Shapes: [B].
Tensor where_present(const Expert& expert, const Tensor& t);

/// Of the layers but z: KL(q || p) where there are private latents. Shapes: [B]; undefined without them.
Tensor private_kl(const Latents& latents);

/// a + b, either of which may be undefined.
Tensor plus(const Tensor& a, const Tensor& b);

/// The name of a modality's private layer.
std::string private_layer(const std::string& modality);

/// Throws: ConfigError "objective 'mvtcae' (line 3) needs model.aggregation poe; …" unless the model's is one of these.
void need_aggregation(const Multimodal& model, const std::vector<std::string_view>& types, const ObjectiveContext& context);

}  // namespace elbo::detail
