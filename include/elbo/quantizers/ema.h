#pragma once
#include "elbo/quantizers/codebook.h"

namespace elbo {

/// A codebook of moving averages: each code is the mean of the tokens that lately chose it. No optimiser moves it.
/// Source: van den Oord et al. 2017 (arXiv:1711.00937), appendix A.1; counts smoothed as in its authors' code. k-means at the
/// start and revival of codes that are rarely chosen: Zeghidour et al. 2021 (arXiv:2107.03312), section III-C.
/// Differs: counts start at 1 (after k-means at the clusters' sizes) and sums at counts times codes, so that a code which no
/// token chooses stays where it is (with `revival: 0` only until its count nears epsilon: smoothing then pulls it to 0, half way
/// after 1,146 steps at decay 0.99); a code is revived where its averaged count is below `revival` times that of evenly used
/// codes, so that the threshold means the same for every batch and codebook. Terms: commitment |z - sg e|^2.
struct EmaConfig {
  int64_t codes = 512;
  int64_t code_size = 64;
  double decay = 0.99;
  double epsilon = 1e-5;
  double revival = 0.1;
  ScheduledNumber commitment = scheduled_number(0.25);
  GradientEstimator gradient = GradientEstimator::straight_through;
  CodeMetric metric = CodeMetric::euclidean;
  CodebookInit init = CodebookInit::kmeans;
  int64_t kmeans_iterations = 10;

  template <class F>
  void fields(F& field) {
    field("codes", codes, "number of codes V", between(1, 1 << 26));
    field("code_size", code_size, "numbers D of a token and a code", between(1, 1 << 20));
    field("decay", decay, "what remains of the averages after a step", at_least(0).below(1));
    field("epsilon", epsilon, "added to each count, all of them rescaled to their old sum", at_least(0));
    field("revival", revival, "codes below this share of even use become tokens of the batch; 0: never", at_least(0).below(1));
    field("commitment", commitment, "weight of the term that draws tokens to their codes", at_least(0));
    field("gradient", gradient, "the decoder's gradient to the encoder: straight_through, rotation, or none");
    field("metric", metric, "what is nearest: euclidean, or cosine");
    field("init", init, "where codes start: uniform in +-1/V, normal, or kmeans on the first batch");
    field("kmeans_iterations", kmeans_iterations, "iterations of init: kmeans; 0: tokens of the first batch", at_least(0));
  }
};

/// Buffers: codes [V, D], counts [V], sums [V, D]. Readings: dead, the share of codes below the threshold of revival.
std::shared_ptr<Quantizer> make_ema(const EmaConfig& config, const QuantizerContext& context);

}  // namespace elbo
