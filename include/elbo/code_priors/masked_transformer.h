#pragma once
#include <array>
#include <string_view>
#include <utility>

#include "elbo/code_priors/code_prior.h"
#include "elbo/math/init.h"

namespace elbo {

/// How many of T codes are masked in training.
enum class MaskRatio {
  cosine,  // ceil(T cos(pi u / 2)), u uniform: most of them more often than few
  uniform  // 1 to T, each as often: what the evaluation's bound averages over
};
constexpr auto enum_names(MaskRatio) {
  return std::array{std::pair{std::string_view("cosine"), MaskRatio::cosine},
                    std::pair{std::string_view("uniform"), MaskRatio::uniform}};
}

/// MaskGIT: a transformer without an order predicts masked codes from the others, and draws many at a time.
/// Source: Chang et al. 2022 (arXiv:2202.04200).
///
/// In evaluation its loss is an upper bound of -log p, one draw of it. Here p(codes) is the probability that the codes are drawn
/// one by one in a random order, each given those already there: with s a permutation of the T positions,
///   log p = log E_s prod_t p(c_s(t) | c_s(<t)) >= E_s sum_t log p(c_s(t) | c_s(<t))    (Jensen)
///         = T E_t E_s log p(c_s(t) | c_s(<t)) = T E_n E_(n masked) (1 / n) sum_(i masked) log p(c_i | not masked),
/// since after t - 1 codes of a random order the other n = T - t + 1 are equally likely to be next. So n is drawn uniformly from
/// 1 to T, n positions are masked, and the loss is T / n times their cross-entropies. Source: Uria et al. 2014 (arXiv:1310.1757),
/// eq. 9; Hoogeboom et al. 2022 (arXiv:2110.02037), eq. 4. Drawing several codes at a time, as sample() does, is another
/// distribution, for which no bound is known. In training n follows `mask_ratio` and labels are smoothed, with the same weight.
class MaskedCodePrior : public CodePrior {
 public:
  /// Of every position, given the codes that aren't masked. `step` is what dropout draws from, null outside of training.
  /// Shapes: int64 and bool [B, h, w, G] -> [B, T, V], unnormalised.
  virtual Tensor logits(const Tensor& codes, const Tensor& masked, const CodeCondition& condition, Step* step) = 0;
  /// Draws the masked codes; the others stay as they are. Shapes: int64 and bool [B, h, w, G] -> int64 [B, h, w, G].
  virtual Tensor inpaint(const Tensor& codes, const Tensor& masked, const CodeCondition& condition, const CodeSampling& sampling,
                         Noise& noise) = 0;
};

/// The share of the codes to be drawn that is still masked after so many of `steps`: cos(pi step / (2 steps)).
double masked_share(int64_t step, int64_t steps);

struct MaskedTransformerConfig {
  int64_t width = 128;
  int64_t layers = 4;
  int64_t heads = 4;
  double dropout = 0.1;
  MaskRatio mask_ratio = MaskRatio::cosine;
  double label_smoothing = 0.1;
  int64_t steps = 8;
  double choice_temperature = 4.5;
  int64_t above_layers = 2;
  Init init = Init::xavier_uniform;

  template <class F>
  void fields(F& field) {
    field("width", width, "numbers a position inside; divisible by heads", between(1, 8192));
    field("layers", layers, "blocks", between(1, 1000));
    field("heads", heads, "heads of attention", between(1, 1024));
    field("dropout", dropout, "share of the elements of the embeddings and of each layer's output set to 0 in training",
          at_least(0).below(1));
    field("mask_ratio", mask_ratio, "how many codes are masked in training");
    field("label_smoothing", label_smoothing, "share of the target spread over all codes, in training", at_least(0).below(1));
    field("steps", steps, "passes in which a sample's codes are drawn", between(1, 1000000));
    field("choice_temperature", choice_temperature,
          "noise in the choice of the codes that stay, times the share of passes left; 0: always the surest", at_least(0));
    field("above_layers", above_layers, "residual blocks over the codes of the level above, where there is one",
          between(0, 1000));
    field("init", init, "initialisation of the weights");
  }
  void check(Relations& relations) const {
    if (width % heads != 0) relations.problem("heads", "must divide width");
  }
};

/// The class enters at every position. Parameters: as the transformer's, tokens.codes.N with one row more, the mask's.
/// Throws: ConfigError where codes have no bound.
std::shared_ptr<MaskedCodePrior> make_masked_transformer(const MaskedTransformerConfig& config, const CodePriorContext& context);

}  // namespace elbo
