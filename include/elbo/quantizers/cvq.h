#pragma once
#include "elbo/quantizers/codebook.h"

namespace elbo {

/// Which token of the batch draws a code that is rarely used.
enum class CvqAnchor {
  random,         // any
  probabilistic,  // the nearer, the more probable: softmax over the tokens of minus the squared distance, or of the cosine
  closest         // the nearest one
};
constexpr auto enum_names(CvqAnchor) {
  return std::array{std::pair{std::string_view("random"), CvqAnchor::random},
                    std::pair{std::string_view("probabilistic"), CvqAnchor::probabilistic},
                    std::pair{std::string_view("closest"), CvqAnchor::closest}};
}

/// When codes are drawn to anchors.
enum class CvqUpdate { every_step, first_step };
constexpr auto enum_names(CvqUpdate) {
  return std::array{std::pair{std::string_view("every_step"), CvqUpdate::every_step},
                    std::pair{std::string_view("first_step"), CvqUpdate::first_step}};
}

/// A codebook learnt by gradients whose rarely used codes are drawn to tokens after each step: e_k becomes
/// (1 - a_k) e_k + a_k anchor_k with a_k = exp(-10 V P_k / (1 - decay) - 0.001), P_k the averaged share of tokens at code k. A
/// code of even use has a_k = 0 and stays as it is, bit for bit.
/// Source: Zheng & Vedaldi 2023 (arXiv:2307.15139), eqs. 4 to 7; with `contrastive` also eq. 8.
/// Differs: the optimiser's moments of a code that was moved are kept. Terms: codebook |sg z - e|^2, commitment |z - sg e|^2,
/// contrastive (a mean over codes, 0-dim; it couples the batch and holds tokens times codes numbers).
struct CvqConfig {
  int64_t codes = 512;
  int64_t code_size = 64;
  double decay = 0.99;
  CvqAnchor anchor = CvqAnchor::random;
  CvqUpdate update = CvqUpdate::every_step;
  ScheduledNumber commitment = scheduled_number(0.25);
  ScheduledNumber codebook_weight = scheduled_number(1);
  bool contrastive = false;
  ScheduledNumber contrastive_weight = scheduled_number(1);
  double temperature = 0.07;
  GradientEstimator gradient = GradientEstimator::straight_through;
  CodeMetric metric = CodeMetric::euclidean;
  CodebookInit init = CodebookInit::normal;
  int64_t kmeans_iterations = 10;

  template <class F>
  void fields(F& field) {
    field("codes", codes, "number of codes V", between(1, 1 << 26));
    field("code_size", code_size, "numbers D of a token and a code", between(1, 1 << 20));
    field("decay", decay, "what remains of the codes' averaged use after a step", at_least(0).below(1));
    field("anchor", anchor, "the token that draws a rarely used code: random, probabilistic, or closest");
    field("update", update, "codes are drawn at every_step, or at the first_step alone");
    field("commitment", commitment, "weight of the term that draws tokens to their codes", at_least(0));
    field("codebook_weight", codebook_weight, "weight of the term that draws codes to their tokens", at_least(0));
    field("contrastive", contrastive, "each code nearer to its tokens than to the farther half of the batch, by a cross-entropy");
    field("contrastive_weight", contrastive_weight, "weight of the contrastive term", at_least(0));
    field("temperature", temperature, "temperature of the contrastive term", more_than(0));
    field("gradient", gradient, "the decoder's gradient to the encoder: straight_through, rotation, or none");
    field("metric", metric, "what is nearest: euclidean, or cosine");
    field("init", init, "where codes start: uniform in +-1/V, normal, or kmeans on the first batch");
    field("kmeans_iterations", kmeans_iterations, "iterations of init: kmeans; 0: tokens of the first batch", at_least(0));
  }
};

/// Parameters: codes [V, D]. Buffers: use [V], the averaged shares; updates, how often codes were drawn; for random anchors pool
/// [V, D], tokens of this batch and, where it has fewer than V, of earlier ones. Readings: drawn, the mean of a_k.
std::shared_ptr<Quantizer> make_cvq(const CvqConfig& config, const QuantizerContext& context);

/// a_k. Shapes: [V] -> [V].
Tensor cvq_pull(const Tensor& use, double decay);

/// For each code the token that draws it, a random one repeatedly where there are fewer tokens than codes; by the other anchors a
/// code that stays (a_k = 0) is its own. Shapes: tokens [N, D], codes [V, D], pull [V] -> [V, D].
Tensor cvq_anchors(CvqAnchor anchor, CodeMetric metric, const Tensor& tokens, const Tensor& codes, const Tensor& pull,
                   Stream& stream);

/// For each code the cross-entropy of the mean similarity of its nearest N / V tokens against the farther half of the tokens, all
/// divided by the temperature; the mean over codes. Similarity is minus the squared distance, or the cosine.
/// Shapes: tokens [N, D], codes [V, D] -> 0-dim. Gradient: to the codes.
Tensor cvq_contrast(const Tensor& tokens, const Tensor& codes, CodeMetric metric, double temperature);

}  // namespace elbo
