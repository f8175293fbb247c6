#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "elbo/io/frequencies.h"

namespace elbo {

/// 0, -1, 1, -2, 2, … as 0, 1, 2, 3, 4, …
constexpr uint64_t zigzag(int64_t value) {
  return value < 0 ? ~static_cast<uint64_t>(value) * 2 + 1 : static_cast<uint64_t>(value) * 2;
}
constexpr int64_t unzigzag(uint64_t value) { return static_cast<int64_t>(value >> 1 ^ (~(value & 1) + 1)); }

/// Codes symbols under integer probabilities, each under its own if need be, in -log2 of the probability bits.
/// Source: Duda 2013 (arXiv:1311.2540), section 3 (range variant), with a 64-bit state and 32-bit words.
/// Differs: the state starts at 2^max_bits instead of 2^31 and is stored without its leading zero bytes, which is up to 37 bits
/// less for each stream.
/// Units: with H the bits of what was pushed, a stream has at most H (1 + 2^(max_bits - 31)) + max_bits + 16 bits, and none at
/// all when H is 0; on average over states the factor's excess is a twentieth of this.
class RansEncoder {
 public:
  /// max_bits: no table pushed has more; the decoder must be told the same.
  explicit RansEncoder(int max_bits);

  /// Symbols come out of the decoder in the order in which they are pushed.
  /// Throws: UsageError for what is outside of the alphabet or for more than max_bits.
  void push(Interval interval, int bits);
  void push(const FrequencyTable& table, uint32_t symbol) { push(table.interval(symbol), table.bits()); }
  /// The low num_bits (0 to 64) bits of value, as they are.
  void push_bits(uint64_t value, int num_bits);
  /// Elias gamma code of value + 1, for integers without a bound: 2 floor(log2(value + 1)) + 1 bits; value < 2^64 - 1.
  void push_integer(uint64_t value);
  /// A value below V - 1 as that symbol; a larger one as the last symbol, the escape, and what it exceeds V - 1 by as an integer.
  void push_escaped(const FrequencyTable& table, uint64_t value);

  /// The stream; the encoder starts afresh.
  std::vector<uint8_t> finish();

 private:
  struct Item {
    Interval interval = {};
    int bits = 0;
  };
  int max_bits_;
  std::vector<Item> items_ = {};  // coded backwards by finish(): the code is last in, first out
};

/// Reads what RansEncoder wrote, given the same tables in the same order. Any bytes are safe to read.
/// Throws: DataError with the origin and the byte of the stream where it ends too early or can't be one.
class RansDecoder {
 public:
  /// The bytes must outlive the decoder. The origin begins its errors: "codes.elbo: stream 3".
  RansDecoder(std::span<const uint8_t> bytes, int max_bits, std::string origin);

  uint32_t pop(const FrequencyTable& table);
  uint64_t pop_bits(int num_bits);
  uint64_t pop_integer();
  uint64_t pop_escaped(const FrequencyTable& table);
  /// For tables of another kind: the slot in [0, 2^bits), then the interval that holds it.
  uint32_t peek(int bits) const;
  void drop(Interval interval, int bits);
  /// Throws unless everything has been read: a model that isn't the encoder's ends elsewhere.
  void finish() const;

 private:
  [[noreturn]] void fail(const std::string& problem) const;

  std::span<const uint8_t> bytes_;
  std::string origin_;
  int max_bits_;
  size_t position_ = 0;
  uint64_t state_ = 0;
};

}  // namespace elbo
