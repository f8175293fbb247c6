#pragma once
#include "elbo/quantizers/codebook.h"

namespace elbo {

enum class SoftEmaInit {
  orthogonal,  // orthonormal columns where there are more codes than numbers in one, else orthonormal rows
  normal       // N(0, 1)
};
constexpr auto enum_names(SoftEmaInit) {
  return std::array{std::pair{std::string_view("orthogonal"), SoftEmaInit::orthogonal},
                    std::pair{std::string_view("normal"), SoftEmaInit::normal}};
}

/// A codebook of moving averages whose tokens choose softly in training: the decoder reads sum_k p_k e_k with p = softmax(-|z -
/// e|^2 / temperature), and each code becomes the mean of all tokens by their p. In evaluation the nearest code alone. The
/// gradient passes to z unchanged. Source: Minoza 2025 (arXiv:2504.14372), of its published code; orthogonal start and annealing
/// 1 -> 0.1 by 0.999 a step as there. Differs: the diversity term log V - H(mean p) is minimised, where that code minimises the
/// entropy itself; no term on the squared length of codes, which no gradient of it moves; counts and sums start as `ema`'s.
/// Terms: commitment |z - sg sum_k p_k e_k|^2; diversity (of the batch, 0-dim, nats) in training. Indices are those of the
/// nearest codes.
struct SoftEmaConfig {
  int64_t codes = 512;
  int64_t code_size = 256;
  double decay = 0.99;
  double epsilon = 1e-5;
  ScheduledNumber temperature = scheduled_number(1);
  ScheduledNumber commitment = scheduled_number(0.25);
  ScheduledNumber diversity = scheduled_number(0);
  SoftEmaInit init = SoftEmaInit::orthogonal;

  template <class F>
  void fields(F& field) {
    field("codes", codes, "number of codes V", between(2, 1 << 20));
    field("code_size", code_size, "numbers D of a token and a code", between(1, 1 << 20));
    field("decay", decay, "what remains of the averages after a step", at_least(0).below(1));
    field("epsilon", epsilon, "added to each count, all of them rescaled to their old sum", at_least(0));
    field("temperature", temperature,
          "of the softmax over squared distances; as published {type: exponential, factor: 0.999, floor: 0.1, every_steps: 1}",
          more_than(0));
    field("commitment", commitment, "weight of the term that draws tokens to what the decoder reads", at_least(0));
    field("diversity", diversity, "weight of log V minus the entropy of the batch's mean choice", at_least(0));
    field("init", init, "where codes start: orthogonal, or normal");
  }
};

/// Buffers: codes [V, D], counts [V], sums [V, D]. Readings: temperature.
std::shared_ptr<Quantizer> make_soft_ema(const SoftEmaConfig& config, const QuantizerContext& context);

}  // namespace elbo
