#pragma once
#include "elbo/models/code_prior.h"
#include "elbo/objectives/objective.h"

namespace elbo {

/// The negative log-likelihood of the codes of model code_prior, the sum of all levels': what a prior over codes is trained by.
/// Source: van den Oord et al. 2017 (arXiv:1711.00937), section 3.3. Terms: bound = log p(codes), in nats an example (of a masked
/// prior a lower bound of it); bits_per_code = -bound over the number of codes and ln 2. What the whole model gives an image,
/// log p(x | codes) + log p(codes), is in the metrics code_rate and bits_per_dim.
std::shared_ptr<Objective> make_nll(const NoConfig& config, CodePriorModel& model, const ObjectiveContext& context);

}  // namespace elbo
