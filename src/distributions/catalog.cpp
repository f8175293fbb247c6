#include "elbo/distributions/bernoulli_likelihood.h"
#include "elbo/distributions/categorical_likelihood.h"
#include "elbo/distributions/continuous_bernoulli_likelihood.h"
#include "elbo/distributions/count_likelihoods.h"
#include "elbo/distributions/discretized_logistic_likelihood.h"
#include "elbo/distributions/laplace_likelihood.h"
#include "elbo/distributions/laplace_posterior.h"
#include "elbo/distributions/laplace_prior.h"
#include "elbo/distributions/logit_laplace_likelihood.h"
#include "elbo/distributions/mixture_prior.h"
#include "elbo/distributions/normal_likelihood.h"
#include "elbo/distributions/normal_posterior.h"
#include "elbo/distributions/normal_prior.h"
#include "elbo/distributions/standard_normal_prior.h"
#include "elbo/distributions/student_t_likelihood.h"
#include "elbo/distributions/table_likelihood.h"

namespace elbo {

Catalog<Likelihood, const LikelihoodContext&>& likelihoods() {
  static auto catalog =
      Catalog<Likelihood, const LikelihoodContext&>("likelihood")
          .add("bernoulli", "Kingma & Welling 2014, appendix C.1", make_bernoulli_likelihood)
          .add("categorical", "one softmax a position", make_categorical_likelihood)
          .add("continuous_bernoulli", "Loaiza-Ganem & Cunningham 2019 (arXiv:1907.06845)", make_continuous_bernoulli_likelihood)
          .add("discretized_logistic", "Kingma et al. 2016, appendix C; Salimans et al. 2017",
               make_discretized_logistic_likelihood)
          .add("laplace", "absolute errors", make_laplace_likelihood)
          .add("logit_laplace", "Ramesh et al. 2021, appendix A.3", make_logit_laplace_likelihood)
          .add("negative_binomial", "Lopez et al. 2018 (scVI)", make_negative_binomial_likelihood)
          .add("normal", "Kingma & Welling 2014, appendix C.2; Rybkin et al. 2021", make_normal_likelihood)
          .add("poisson", "counts", make_poisson_likelihood)
          .add("student_t", "Takahashi et al. 2018 (IJCAI)", make_student_t_likelihood)
          .add("table", "Nazabal et al. 2020 (arXiv:1807.03653)", make_table_likelihood);
  return catalog;
}

Catalog<Posterior, const PosteriorContext&>& posteriors() {
  static auto catalog = Catalog<Posterior, const PosteriorContext&>("posterior")
                            .add("laplace", "Shi et al. 2019 (arXiv:1911.03393), appendix", make_laplace_posterior)
                            .add("normal", "Kingma & Welling 2014, eq. 9", make_normal_posterior);
  return catalog;
}

Catalog<Prior, const PriorContext&>& priors() {
  static auto catalog = Catalog<Prior, const PriorContext&>("prior")
                            .add("laplace", "Shi et al. 2019 (arXiv:1911.03393), section 4", make_laplace_prior)
                            .add("mixture", "Tomczak & Welling 2018, section 2 (MoG prior)", make_mixture_prior)
                            .add("normal", "Kingma & Welling 2014, section 2.1", make_normal_prior)
                            .add("standard_normal", "Kingma & Welling 2014, section 3", make_standard_normal_prior);
  return catalog;
}

}  // namespace elbo
