#pragma once
#include "elbo/distributions/likelihood.h"
#include "elbo/distributions/scale_source.h"

namespace elbo {

/// Independent normal variables: N(activation(output), s^2), s fixed, learned, one for each element, or optimal.
/// Source: Kingma & Welling 2014 (arXiv:1312.6114), appendix C.2, with sigmoid for data in [0, 1]; learned and optimal s:
/// Rybkin et al. 2021 (arXiv:2006.13202).
/// Gradient: the optimal s is cut off; by the envelope theorem the gradient is that of (X / 2) log MSE all the same.
/// Differs: at evaluation `optimal` is a running mean of the training batches' optima (decay 0.99, debiased): a scale fitted to
/// the evaluated data would have seen them, and its density is no likelihood.
struct NormalLikelihoodConfig {
  double scale = 1;
  DecoderVariance variance = DecoderVariance::fixed;
  MeanActivation mean = MeanActivation::identity;

  template <class F>
  void fields(F& field) {
    field("scale", scale, "standard deviation s, or where it starts; half of 1/s^2 weighs the squared error", more_than(0));
    field(
        "variance", variance,
        "s is fixed; learned: one parameter; per_pixel: the decoder gives a log-variance for each element; optimal: the best of "
        "each training batch (sigma-VAE)");
    field("mean", mean, "how the decoder's output becomes the mean; sigmoid keeps it in [0, 1]");
  }
};

/// Buffers of `optimal`: s2 (what evaluation uses), num_batches.
std::shared_ptr<Likelihood> make_normal_likelihood(const NormalLikelihoodConfig& config, const LikelihoodContext& context);

}  // namespace elbo
