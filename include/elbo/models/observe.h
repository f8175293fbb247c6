#pragma once
#include "elbo/distributions/likelihood.h"
#include "elbo/models/family.h"

namespace elbo {

/// What a likelihood says of x, given a decoder's output [..., B, parameter_shape...]: in training by its surrogate where it has
/// one, with the proper likelihood to report beside it. Elements that x marks as not valid are left out.
Observation observe(Likelihood& likelihood, const Tensor& parameters, const Field& x);

}  // namespace elbo
