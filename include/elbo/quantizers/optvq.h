#pragma once
#include "elbo/quantizers/codebook.h"

namespace elbo {

/// How a token gets its code.
enum class OptvqAssignment {
  nearest,   // by itself
  transport  // by a transport plan that gives every code as many tokens of the batch
};
constexpr auto enum_names(OptvqAssignment) {
  return std::array{std::pair{std::string_view("nearest"), OptvqAssignment::nearest},
                    std::pair{std::string_view("transport"), OptvqAssignment::transport}};
}

/// Which code of its row of the plan a token takes.
enum class OptvqPick { largest, drawn };
constexpr auto enum_names(OptvqPick) {
  return std::array{std::pair{std::string_view("largest"), OptvqPick::largest},
                    std::pair{std::string_view("drawn"), OptvqPick::drawn}};
}

/// In training tokens are spread over all codes by optimal transport: no code is left behind. A token is cut into `heads` parts
/// that share one codebook; codes are a learnt linear map of learnt vectors. It couples the batch in training.
/// Source: Zhang et al. 2024 (arXiv:2412.15195), section 3; weights and sharpness as in the authors' code.
/// Differs: outside training tokens get their nearest code, so that a picture's codes don't depend on the pictures beside it;
/// `evaluation: transport` is the published way. Terms: codebook |sg z - e|^2 (weight 0.25), commitment |z - sg e|^2 (weight 1).
struct OptvqConfig {
  int64_t codes = 512;
  int64_t code_size = 64;
  int64_t heads = 1;
  bool projection = true;
  double sharpness = 10;
  int64_t iterations = 5;
  bool normalize = true;
  OptvqPick pick = OptvqPick::largest;
  OptvqAssignment evaluation = OptvqAssignment::nearest;
  int64_t sinkhorn_bytes = 512 << 20;
  ScheduledNumber commitment = scheduled_number(1);
  ScheduledNumber codebook_weight = scheduled_number(0.25);
  GradientEstimator gradient = GradientEstimator::straight_through;
  CodebookInit init = CodebookInit::normal;
  int64_t kmeans_iterations = 10;

  template <class F>
  void fields(F& field) {
    field("codes", codes, "number of codes V", between(1, 1 << 26));
    field("code_size", code_size, "numbers D of a token", between(1, 1 << 15));
    field("heads", heads, "parts of a token, each with a code of its own from the one codebook; divides code_size", at_least(1));
    field("projection", projection, "codes go through a learnt linear map");
    field("sharpness", sharpness, "of the plan, exp(-sharpness distance): an inverse temperature", more_than(0));
    field("iterations", iterations, "of Sinkhorn's algorithm", between(1, 10'000));
    field("normalize", normalize, "distances less their mean over the batch, divided by their standard deviation");
    field("pick", pick, "the code a token takes of its row of the plan: the largest, or one drawn by it");
    field("evaluation", evaluation, "outside training: nearest, or transport over the batch as in training");
    field("sinkhorn_bytes", sinkhorn_bytes, "distances that take more are computed again in each pass", at_least(0));
    field("commitment", commitment, "weight of the term that draws tokens to their codes", at_least(0));
    field("codebook_weight", codebook_weight, "weight of the term that draws codes to their tokens", at_least(0));
    field("gradient", gradient, "the decoder's gradient to the encoder: straight_through, rotation, or none");
    field("init", init, "where codes start: uniform in +-1/V, normal, or kmeans on the first batch, the map then the identity");
    field("kmeans_iterations", kmeans_iterations, "iterations of init: kmeans; 0: tokens of the first batch", at_least(0));
  }
  void check(Relations& relations) const;
};

/// Parameters: vectors [V, D / heads], projection.{weight,bias}.
std::shared_ptr<Quantizer> make_optvq(const OptvqConfig& config, const QuantizerContext& context);

}  // namespace elbo
