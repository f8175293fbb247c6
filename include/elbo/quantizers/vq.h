#pragma once
#include "elbo/quantizers/codebook.h"

namespace elbo {

/// A codebook learnt by gradients: the code nearest to each token.
/// Source: van den Oord et al. 2017 (arXiv:1711.00937), eqs. 1 to 3; k-means initialisation: Zeghidour et al. 2021
/// (arXiv:2107.03312), section III-C. Terms: codebook |sg z - e|^2, commitment |z - sg e|^2.
struct VqConfig {
  int64_t codes = 512;
  int64_t code_size = 64;
  ScheduledNumber commitment = scheduled_number(0.25);
  ScheduledNumber codebook_weight = scheduled_number(1);
  GradientEstimator gradient = GradientEstimator::straight_through;
  CodeMetric metric = CodeMetric::euclidean;
  CodebookInit init = CodebookInit::normal;
  int64_t kmeans_iterations = 10;

  template <class F>
  void fields(F& field) {
    field("codes", codes, "number of codes V", between(1, 1 << 26));
    field("code_size", code_size, "numbers D of a token and a code", between(1, 1 << 20));
    field("commitment", commitment, "weight of the term that draws tokens to their codes", at_least(0));
    field("codebook_weight", codebook_weight, "weight of the term that draws codes to their tokens", at_least(0));
    field("gradient", gradient, "the decoder's gradient to the encoder: straight_through, rotation, or none");
    field("metric", metric, "what is nearest: euclidean, or cosine");
    field("init", init, "where codes start: uniform in +-1/V, normal, or kmeans on the first batch");
    field("kmeans_iterations", kmeans_iterations, "iterations of init: kmeans; 0: tokens of the first batch", at_least(0));
  }
};

std::shared_ptr<Quantizer> make_vq(const VqConfig& config, const QuantizerContext& context);

}  // namespace elbo
