#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace elbo {

/// Frequencies of one alphabet sum to 2^bits, bits at most this.
inline constexpr int kMaxFrequencyBits = 31;

/// max(16, ceil(log2 V) + 10): the least frequency of 1 then costs no symbol more than 0.00141 bits, whatever the distribution.
/// Throws: UsageError unless 1 <= num_symbols <= 2^21.
int frequency_bits(int64_t num_symbols);

/// The part [start, start + frequency) of [0, 2^bits) that stands for a symbol.
struct Interval {
  uint32_t start = 0;
  uint32_t frequency = 0;
};

namespace detail {
struct TableOf;
}

/// Integer probabilities f_s / 2^bits of the symbols 0 … V-1, each f_s >= 1.
class FrequencyTable {
 public:
  /// Throws: UsageError when a frequency is 0 or their sum isn't 2^bits.
  FrequencyTable(std::span<const uint32_t> frequencies, int bits);

  int bits() const { return bits_; }
  uint32_t num_symbols() const { return static_cast<uint32_t>(starts_.size() - 1); }
  /// Throws: UsageError for a symbol outside the alphabet.
  Interval interval(uint32_t symbol) const;
  /// The symbol whose interval holds slot, by binary search; slot < 2^bits.
  uint32_t find(uint32_t slot) const;
  /// -log2 of the symbol's probability.
  double cost_bits(uint32_t symbol) const;

 private:
  friend struct detail::TableOf;
  FrequencyTable() = default;

  int bits_ = 0;
  std::vector<uint32_t> starts_ = {};  // [V + 1], the last is 2^bits
};

/// These take the distribution as real numbers, counts or logits and give f_s = 1 + p_s (2^bits - V), rounded by largest
/// remainders, ties to the lower symbol: -log2(f_s / 2^bits) <= -log2 p_s - log2(1 - V / 2^bits) for every symbol, up to the
/// precision of p_s below. The same input gives the same integers on every IEEE machine: no libm, no floating-point sum.
/// Throws: UsageError when 2^bits < V, V is 0 or bits > kMaxFrequencyBits; NumericalError naming the symbol for a number that is
/// no weight, or when nothing has any.

/// Weights >= 0 that need not sum to 1; one below 2^(bits - 63) times the largest counts as 0.
FrequencyTable frequencies_from_probabilities(std::span<const double> weights, int bits);
FrequencyTable frequencies_from_probabilities(std::span<const float> weights, int bits);
/// Softmax in integers, in steps of 2^-20 of log2 p; -inf is probability 0.
FrequencyTable frequencies_from_logits(std::span<const double> logits, int bits);
FrequencyTable frequencies_from_logits(std::span<const float> logits, int bits);
/// What the table of these logits has for one symbol, at half the price of a table.
Interval interval_from_logits(std::span<const double> logits, int bits, uint32_t symbol);
/// All counts 0 is the uniform distribution.
FrequencyTable frequencies_from_counts(std::span<const uint64_t> counts, int bits);
FrequencyTable uniform_frequencies(int64_t num_symbols, int bits);

}  // namespace elbo
