#include "elbo/distributions/bernoulli_likelihood.h"
#include "elbo/distributions/categorical_likelihood.h"
#include "elbo/distributions/mixture_prior.h"
#include "elbo/distributions/normal_likelihood.h"
#include "elbo/distributions/normal_posterior.h"
#include "elbo/distributions/normal_prior.h"
#include "elbo/distributions/standard_normal_prior.h"

namespace elbo {

Catalog<Likelihood, const LikelihoodContext&>& likelihoods() {
  static auto catalog = Catalog<Likelihood, const LikelihoodContext&>("likelihood")
                            .add("bernoulli", "Kingma & Welling 2014, appendix C.1", make_bernoulli_likelihood)
                            .add("categorical", "one softmax a position", make_categorical_likelihood)
                            .add("normal", "Kingma & Welling 2014, appendix C.2; Rybkin et al. 2021", make_normal_likelihood);
  return catalog;
}

Catalog<Posterior, const PosteriorContext&>& posteriors() {
  static auto catalog = Catalog<Posterior, const PosteriorContext&>("posterior")
                            .add("normal", "Kingma & Welling 2014, eq. 9", make_normal_posterior);
  return catalog;
}

Catalog<Prior, const PriorContext&>& priors() {
  static auto catalog = Catalog<Prior, const PriorContext&>("prior")
                            .add("mixture", "Tomczak & Welling 2018, section 2 (MoG prior)", make_mixture_prior)
                            .add("normal", "Kingma & Welling 2014, section 2.1", make_normal_prior)
                            .add("standard_normal", "Kingma & Welling 2014, section 3", make_standard_normal_prior);
  return catalog;
}

}  // namespace elbo
