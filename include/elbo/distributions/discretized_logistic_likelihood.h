#pragma once
#include "elbo/distributions/likelihood.h"
#include "elbo/distributions/scale_source.h"

namespace elbo {

/// Discretised logistic pixels, for pictures of 256 grey levels: a probability, whose nats are bits/dim without an offset. With
/// `components` > 1 a mixture at each element.
/// Source: Kingma et al. 2016 (arXiv:1606.04934), appendix C; the mixture Salimans et al. 2017 (arXiv:1701.05517), section 2.1,
/// without the dependence between colours. Differs: means are sigmoids, so that their gradient never dies.
struct DiscretizedLogisticLikelihoodConfig {
  int64_t components = 1;
  double scale = 0.1;
  DecoderVariance variance = DecoderVariance::learned;

  template <class F>
  void fields(F& field) {
    field("components", components, "logistics in the mixture at each element", between(1, 1000));
    field("scale", scale, "scale s of the logistic, or where it starts; the whole range of grey levels is 1", more_than(0));
    field("variance", variance,
          "s is fixed; learned: one parameter; per_pixel: the decoder gives 2 log s for each element (and component)");
  }
  void check(Relations& relations) const {
    if (variance == DecoderVariance::optimal) relations.problem("variance", "optimal is for likelihood normal; choose learned");
  }
};

std::shared_ptr<Likelihood> make_discretized_logistic_likelihood(const DiscretizedLogisticLikelihoodConfig& config,
                                                                 const LikelihoodContext& context);

}  // namespace elbo
