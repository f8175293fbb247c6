#pragma once
#include "elbo/distributions/likelihood.h"
#include "elbo/distributions/scale_source.h"

namespace elbo {

/// Absolute errors of logits, for numbers in [0, 1]; of the discrete VAE. Source: Ramesh et al. 2021 (arXiv:2102.12092), appendix
/// A.3.
struct LogitLaplaceLikelihoodConfig {
  double scale = 1;
  DecoderVariance variance = DecoderVariance::per_pixel;

  template <class F>
  void fields(F& field) {
    field("scale", scale, "scale s of exp(-|logit - location| / s), or where it starts", more_than(0));
    field("variance", variance, "s is fixed; learned: one parameter; per_pixel: the decoder gives 2 log s for each element");
  }
  void check(Relations& relations) const {
    if (variance == DecoderVariance::optimal) relations.problem("variance", "optimal is for likelihood normal; choose learned");
  }
};

std::shared_ptr<Likelihood> make_logit_laplace_likelihood(const LogitLaplaceLikelihoodConfig& config,
                                                          const LikelihoodContext& context);

}  // namespace elbo
