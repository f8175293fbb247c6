#pragma once
#include "elbo/distributions/likelihood.h"
#include "elbo/distributions/scale_source.h"

namespace elbo {

/// Independent Laplace variables around the decoder's output: absolute instead of squared errors.
struct LaplaceLikelihoodConfig {
  double scale = 1;
  DecoderVariance variance = DecoderVariance::fixed;
  MeanActivation mean = MeanActivation::identity;

  template <class F>
  void fields(F& field) {
    field("scale", scale, "scale s of exp(-|x - mean| / s), or where it starts", more_than(0));
    field("variance", variance, "s is fixed; learned: one parameter; per_pixel: the decoder gives 2 log s for each element");
    field("mean", mean, "how the decoder's output becomes the mean; sigmoid keeps it in [0, 1]");
  }
  void check(Relations& relations) const {
    if (variance == DecoderVariance::optimal) relations.problem("variance", "optimal is for likelihood normal; choose learned");
  }
};

std::shared_ptr<Likelihood> make_laplace_likelihood(const LaplaceLikelihoodConfig& config, const LikelihoodContext& context);

}  // namespace elbo
