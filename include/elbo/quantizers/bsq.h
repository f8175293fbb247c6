#pragma once
#include "elbo/config/problems.h"
#include "elbo/quantizers/quantizer.h"

namespace elbo {

/// Binary spherical quantisation: the token is scaled to the unit sphere, u = z / |z|, and each number's sign kept:
/// q = sign(u) / sqrt D, so that |u - q|^2 <= 2 - 2 / sqrt D. Nothing is learnt.
/// Source: Zhao et al. 2025 (arXiv:2406.07548), section 4, p(+ | u) = sigmoid(4 u / (temperature sqrt D)).
/// Terms: commitment |u - sg q|^2, with `reduction: mean` a mean over tokens alone, as published; token_entropy, exact;
/// batch_entropy (weighs -entropy * diversity), of the average over the batch's tokens, exact up to entropy_bits bits, else an
/// upper bound. Both entropies weigh times the temperature too. Couples the batch.
/// Gradient: straight through from q to u, then that of the normalisation. Differs: the authors scale by 1 / sqrt D after they
/// pass it straight through, which divides the encoder's gradient by sqrt D.
struct BsqConfig {
  int64_t code_size = 18;
  int64_t groups = 1;
  ScheduledNumber commitment = scheduled_number(0);
  ScheduledNumber entropy = scheduled_number(0.1);
  ScheduledNumber diversity = scheduled_number(1);
  ScheduledNumber temperature = scheduled_number(1);
  int64_t entropy_bits = 9;

  template <class F>
  void fields(F& field) {
    field("code_size", code_size, "bits D of a token", between(1, 4096));
    field("groups", groups, "indices G that hold the bits, at most 62 each", between(1, 4096));
    field("commitment", commitment, "weight of the term that draws tokens to their codes", at_least(0));
    field("entropy", entropy, "weight of the entropy penalty: each token's entropy less the batch's", at_least(0));
    field("diversity", diversity, "how much the batch's entropy weighs beside the tokens'; 0: not computed", at_least(0));
    field("temperature", temperature, "of p(code | token)", more_than(0));
    field("entropy_bits", entropy_bits, "bits whose joint distribution in the batch is exact; cost 2^this", between(1, 20));
  }
  void check(Relations& relations) const;
};

/// Throws: ConfigError when the groups don't divide the bits or an index would need more than 62 bits.
std::shared_ptr<Quantizer> make_bsq(const BsqConfig& config, const QuantizerContext& context);

}  // namespace elbo
