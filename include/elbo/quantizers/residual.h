#pragma once
#include "elbo/quantizers/estimator.h"
#include "elbo/quantizers/quantizer.h"

namespace elbo {

/// Residual quantisation: each level quantises what the levels before it left over, and the value is the sum of all.
/// Source: Zeghidour et al. 2021 (arXiv:2107.03312), section III-C, also for leaving levels out in training; one codebook for all
/// levels: Lee et al. 2022 (arXiv:2203.01941), section 3.1. Their commitment to the partial sums, eq. 5, is what the levels'
/// commitment terms are here, since z minus the first l codes is what level l leaves over.
/// Terms: those of the levels, "level0/commitment", each divided by the number of levels that the example uses: their mean.
/// Gradient: straight through, once around the sum; terms reach z through every level's residual, codes only in their own level.
/// Differs: how many levels are used is drawn for each example by itself. Modules: quantizers.N.
struct ResidualConfig {
  int64_t levels = 4;
  QuantizerChoice quantizer{quantizers, "ema"};
  bool shared = false;
  double dropout = 0;
  GradientEstimator gradient = GradientEstimator::straight_through;

  template <class F>
  void fields(F& field) {
    field("levels", levels, "number of levels", between(1, 256));
    field("quantizer", quantizer, "quantiser of one level");
    field("shared", shared, "whether the levels have one quantiser in common");
    field("dropout", dropout, "share of the training examples that use only the first n levels, n uniform in 1 to all",
          between(0, 1));
    field("gradient", gradient, "the decoder's gradient to the encoder: straight_through, rotation, or none");
  }
};

/// Throws: ConfigError when the nested quantiser's tokens and codes differ in size, or where a lattice's levels shall be left
/// out.
std::shared_ptr<Quantizer> make_residual(const ResidualConfig& config, const QuantizerContext& context);

}  // namespace elbo
