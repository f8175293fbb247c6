#pragma once
#include <string>
#include <vector>

#include "elbo/quantizers/quantizer.h"

namespace elbo::detail {

/// Codes whose numbers are +-scale: D bits in G indices of D / G bits each, the first number the highest bit.
struct SignCodes {
  int64_t size = 0;    // D
  int64_t groups = 1;  // G
  double scale = 1;

  int64_t bits() const { return size / groups; }
  /// Positive numbers are ones, zero is not. Shapes: [..., D] -> int64 [..., G].
  Tensor indices(const Tensor& z) const;
  /// The code of each token. Shapes: [..., D] alike. Gradient: none.
  Tensor nearest(const Tensor& z) const;
  /// Zeros where an index is -1. Shapes: int64 [..., G] -> [..., D].
  Tensor decode(const Tensor& indices) const;
  CodeSpace space() const;
  /// Of one group, [2^bits, bits]; undefined beyond 16 bits.
  Tensor codebook(at::Device device) const;
};

/// What is wrong with this many bits in this many groups; empty where nothing is.
std::string sign_codes_problem(int64_t size, int64_t groups);

struct SignEntropyConfig {
  ScheduledNumber temperature = scheduled_number(1);
  ScheduledNumber entropy = scheduled_number(0);
  ScheduledNumber diversity = scheduled_number(0);
  int64_t entropy_bits = 1;
};

/// How the weights read the temperature.
enum class EntropyScale { one, temperature };

/// The penalty entropy * (mean H(p) - diversity * H(mean p)) over independent bits with p(+) = sigmoid(logit).
class SignEntropy {
 public:
  SignEntropy(const SignEntropyConfig& config, EntropyScale scale, at::Device device);

  /// Adds token_entropy [B] and batch_entropy (0-dim: the entropy of the mean, times the tokens of an example).
  /// Shapes: z [B, ..., D] such that 4 z / temperature are the logits; mask [B, ...] or undefined.
  void add_terms(Quantization& result, const Tensor& z, const Tensor& mask) const;
  std::vector<Scheduled> scheduled() const { return {temperature_, entropy_, diversity_}; }
  bool couples_batch() const { return diverse_; }

 private:
  Scheduled temperature_, entropy_, diversity_;
  int64_t entropy_bits_;
  EntropyScale scale_;
  bool diverse_;
};

/// Sum of the bits' entropies, each exact. Shapes: logits [..., D] -> [...]. Units: nats.
Tensor bits_entropy(const Tensor& logits);

/// Entropy of the average over rows of products of independent bits: exact for up to `block` bits, beyond that the sum over
/// blocks of so many bits, an upper bound. Shapes: logits [N, D], weight [N] or undefined -> 0-dim. Units: nats.
Tensor entropy_of_average(const Tensor& logits, const Tensor& weight, int64_t block);

}  // namespace elbo::detail
