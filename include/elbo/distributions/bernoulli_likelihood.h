#pragma once
#include "elbo/distributions/likelihood.h"

namespace elbo {

/// Independent Bernoulli pixels by logits; for fields that are exactly 0 or 1.
struct BernoulliLikelihoodConfig {
  bool allow_unit = false;

  template <class F>
  void fields(F& field) {
    field(
        "allow_unit", allow_unit,
        "accept real values in [0, 1]: cross-entropy as a loss. It is not a likelihood there (it isn't normalised), so its nats "
        "compare with nothing");
  }
};

std::shared_ptr<Likelihood> make_bernoulli_likelihood(const BernoulliLikelihoodConfig& config, const LikelihoodContext& context);

namespace detail {
/// log(p / (1 - p)), with p kept 1e-3 from both ends: a pixel that is never lit must not start where its gradient is zero.
Tensor safe_logit(const Tensor& p);
}  // namespace detail

}  // namespace elbo
