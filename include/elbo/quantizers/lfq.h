#pragma once
#include "elbo/config/problems.h"
#include "elbo/quantizers/quantizer.h"

namespace elbo {

/// Lookup-free quantisation: each number's sign is a bit, codes are {-1, +1}^D, and an entropy penalty makes tokens sure of their
/// bits and batches use all codes. Nothing is learnt.
/// Source: Yu et al. 2024 (arXiv:2310.05737), section 3.2 and eq. 6, with p(c | z) = softmax_c(2 z c / temperature).
/// Terms: commitment |z - sg q|^2; token_entropy, exact, since bits are independent; batch_entropy (weighs -entropy * diversity),
/// of the average over the batch's tokens, exact up to entropy_bits bits, else an upper bound. Couples the batch.
/// Gradient: straight through.
struct LfqConfig {
  int64_t code_size = 18;
  int64_t groups = 1;
  ScheduledNumber commitment = scheduled_number(0.25);
  ScheduledNumber entropy = scheduled_number(0.1);
  ScheduledNumber diversity = scheduled_number(1);
  ScheduledNumber temperature = scheduled_number(0.01);
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
std::shared_ptr<Quantizer> make_lfq(const LfqConfig& config, const QuantizerContext& context);

}  // namespace elbo
