#include "conditioning.h"

#include <algorithm>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/evaluation/subset_likelihood.h"
#include "elbo/evaluation/subsets.h"

namespace elbo::detail {

bool holds(const Subset& names, const std::string& name) { return std::find(names.begin(), names.end(), name) != names.end(); }

std::vector<Subset> inferable_subsets(const SubsetChoice& choice, const Multimodal& model) {
  std::vector<Subset> subsets;
  try {
    subsets = subsets_of(choice, model.modalities());
  } catch (const UsageError& error) {
    throw UsageError(text("subsets: ", error.what()));
  }
  if (std::holds_alternative<Subsets>(choice)) {
    std::erase_if(subsets, [&](const Subset& subset) { return !can_infer(model, subset); });
  }
  for (const auto& subset : subsets) {
    if (can_infer(model, subset)) continue;
    throw UsageError(
        text("subsets: [", subset_name(subset), "]: aggregation '", model.aggregator().name(),
             "' has no posterior given these; it encodes ",
             model.aggregator().sources().empty() ? "all modalities together" : join(model.aggregator().sources(), ", ")));
  }
  return subsets;
}

std::vector<Subset> usual_conditions(const Multimodal& model) {
  constexpr size_t kAllOf = 5;
  const auto& names = model.modalities();
  std::vector<Subset> subsets;
  if (names.size() <= kAllOf) {
    subsets = inferable_subsets(Subsets::all, model);
  } else {
    subsets = inferable_subsets(Subsets::singles, model);
    for (const auto& left_out : names) {
      auto others = names;
      std::erase(others, left_out);
      if (can_infer(model, others)) subsets.push_back(std::move(others));
    }
  }
  std::erase_if(subsets, [&](const Subset& subset) { return subset.size() == names.size(); });
  return subsets;
}

Tensor rows_with(const Multimodal& model, const Batch& batch, const Subset& modalities) {
  auto there = torch::ones({batch.size()}, torch::kBool);
  for (const auto& name : modalities) {
    const auto& present = batch.fields.at(model.field_of(name)).present;
    if (present.defined()) there = there & present.cpu();
  }
  return there;
}

}  // namespace elbo::detail
