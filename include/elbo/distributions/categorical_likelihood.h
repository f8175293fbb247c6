#pragma once
#include "elbo/config/traits.h"
#include "elbo/distributions/likelihood.h"

namespace elbo {

/// Independent classes at each position, for fields of kind category with V classes, or of V grey levels in [0, 1], which stay
/// coded so (the 256-way softmax of van den Oord et al. 2016, arXiv:1601.06759, section 3.3, without its autoregression). The
/// class axis comes first among one example's parameters: [V] for a single label, [V, T] for a sequence, [V, H, W] for a map, [V
/// C, H, W] for channels [C, H, W].
std::shared_ptr<Likelihood> make_categorical_likelihood(const NoConfig& config, const LikelihoodContext& context);

}  // namespace elbo
