#pragma once
#include <vector>

#include "elbo/evaluation/metric.h"
#include "elbo/models/family.h"

namespace elbo::detail {

bool holds(const Subset& names, const std::string& name);

/// Those that are asked for, of a family only what there is a posterior of. Throws: UsageError for subsets that aren't the
/// model's, or named ones without a q(z | x_A).
std::vector<Subset> inferable_subsets(const SubsetChoice& choice, const Multimodal& model);

/// What is conditioned on where nothing is asked for: every subset but the whole; of more than 5 modalities those of 1 and of all
/// but one.
std::vector<Subset> usual_conditions(const Multimodal& model);

/// The rows of a batch that have all of these modalities, [B] bool on the host.
Tensor rows_with(const Multimodal& model, const Batch& batch, const Subset& modalities);

}  // namespace elbo::detail
