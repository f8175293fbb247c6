#pragma once
#include "elbo/quantizers/codebook.h"

namespace elbo {

/// Codes are a learnt affine map of fixed vectors, C W^T + b with C drawn from N(0, 1/D): a token moves all codes together, so
/// that none is left behind. Source: Zhu et al. 2024 (arXiv:2411.02038), section 3.2.
/// Terms: codebook |sg z - e|^2, commitment |z - sg e|^2.
struct SimVqConfig {
  int64_t codes = 512;
  int64_t code_size = 64;
  ScheduledNumber commitment = scheduled_number(0.25);
  ScheduledNumber codebook_weight = scheduled_number(1);
  GradientEstimator gradient = GradientEstimator::straight_through;
  CodeMetric metric = CodeMetric::euclidean;
  bool bias = true;
  bool train_vectors = false;

  template <class F>
  void fields(F& field) {
    field("codes", codes, "number of codes V", between(1, 1 << 26));
    field("code_size", code_size, "numbers D of a token and a code", between(1, 1 << 15));
    field("commitment", commitment, "weight of the term that draws tokens to their codes", at_least(0));
    field("codebook_weight", codebook_weight, "weight of the term that draws codes to their tokens", at_least(0));
    field("gradient", gradient, "the decoder's gradient to the encoder: straight_through, rotation, or none");
    field("metric", metric, "what is nearest: euclidean, or cosine");
    field("bias", bias, "the map has a bias b");
    field("train_vectors", train_vectors, "C is learnt too");
  }
};

/// Parameters: projection.{weight,bias}; `vectors` [V, D] is a buffer, with train_vectors a parameter.
std::shared_ptr<Quantizer> make_sim_vq(const SimVqConfig& config, const QuantizerContext& context);

}  // namespace elbo
