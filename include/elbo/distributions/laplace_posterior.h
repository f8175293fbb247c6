#pragma once
#include "elbo/distributions/posterior.h"
#include "elbo/math/init.h"

namespace elbo {

/// Laplace q(z | x) by two linear heads, `mean` and `scale`; the scales of an example are D softmax(head) + 1e-6, so that they
/// add up to D: none collapses without others growing.
/// Source: Shi et al. 2019 (arXiv:1911.03393), appendix (their code's map).
struct LaplacePosteriorConfig {
  Init init = Init::pytorch;

  template <class F>
  void fields(F& field) {
    field("init", init, "initial weights of the heads");
  }
};

std::shared_ptr<Posterior> make_laplace_posterior(const LaplacePosteriorConfig& config, const PosteriorContext& context);

namespace detail {
/// log of D softmax(raw) + 1e-6 along the last extent.
Tensor log_scales_that_add_up(const Tensor& raw);
}  // namespace detail

}  // namespace elbo
