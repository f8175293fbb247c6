#pragma once
#include "elbo/objectives/vq.h"

namespace elbo {

/// The objective `vq` with reconstruction weighed by blocks of the picture: U_i = u_i / (m_i + epsilon), divided by its mean,
/// where m_i is a moving average over steps of block i's mean absolute error and u_i one of its (1 - alpha) quantile within the
/// block; and similarity (1 - SSIM) beside it. No gradient passes through the weights. Source: Minoza 2025 (arXiv:2504.14372),
/// section 3 and published code. Differs: weights have mean 1, so that they don't change the objective's scale; a step's weights
/// are those of the steps before it; published sums are `reduction: mean` with a normal likelihood of scale 1/sqrt 2 and
/// similarity 10. Where a quantiser gives a continuous value too, both likelihoods are weighed and averaged; errors and SSIM are
/// of the codes. These weights are no calibrated uncertainty: metric `conformal` measures intervals that are. Terms: those of
/// `vq`, without weights; ssim; block_weight_max.
struct BlockUncertaintyConfig {
  VqReduction reduction = VqReduction::sum;
  int64_t block = 4;
  double alpha = 0.05;
  double decay = 0.99;
  double epsilon = 1e-5;
  double similarity = 1;

  template <class F>
  void fields(F& field) {
    field("reduction", reduction, "as objective vq's");
    field("block", block, "side of a block, in places; 0 is the whole map", at_least(0));
    field("alpha", alpha, "a block's quantile is that of 1 - alpha", more_than(0).below(1));
    field("decay", decay, "what remains of the averages after a step", at_least(0).below(1));
    field("epsilon", epsilon, "added to a block's mean error", more_than(0));
    field("similarity", similarity, "weight of 1 - SSIM, one number an example; 0 where pictures are smaller than 11 x 11",
          at_least(0));
  }
};

/// Buffers: mean_error, quantile_error, a number for each block. Throws: ConfigError unless the model gives maps, and for the
/// similarity pictures with values in [0, 1].
std::shared_ptr<Objective> make_block_uncertainty(const BlockUncertaintyConfig& config, Quantized& model,
                                                  const ObjectiveContext& context);

}  // namespace elbo
