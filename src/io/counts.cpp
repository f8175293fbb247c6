#include "elbo/io/counts.h"

#include <algorithm>
#include <bit>

#include "elbo/io/rans.h"

namespace elbo {
namespace {

constexpr int kCountTableBits = 16;

/// The distribution of the bit lengths so far.
class LengthTable {
 public:
  FrequencyTable current() const { return frequencies_from_counts(seen_, kCountTableBits); }
  void add(uint32_t length) { seen_[length] += kStep; }

 private:
  static constexpr uint64_t kStep = 16;  // what is seen soon outweighs what never comes
  std::vector<uint64_t> seen_ = std::vector<uint64_t>(65, 1);
};

int low_bits_of(uint32_t length) { return std::max(static_cast<int>(length) - 1, 0); }

}  // namespace

std::vector<uint8_t> pack_counts(std::span<const uint64_t> counts) {
  RansEncoder encoder(kCountTableBits);
  LengthTable lengths;
  for (const uint64_t count : counts) {
    const auto length = static_cast<uint32_t>(std::bit_width(count));
    encoder.push(lengths.current(), length);
    encoder.push_bits(count, low_bits_of(length));
    lengths.add(length);
  }
  return encoder.finish();
}

std::vector<uint64_t> unpack_counts(std::span<const uint8_t> bytes, uint32_t num_symbols, const std::string& origin) {
  RansDecoder decoder(bytes, kCountTableBits, origin);
  LengthTable lengths;
  std::vector<uint64_t> counts;
  for (uint32_t i = 0; i < num_symbols; ++i) {
    const uint32_t length = decoder.pop(lengths.current());
    const uint64_t low = decoder.pop_bits(low_bits_of(length));
    counts.push_back(length == 0 ? 0 : uint64_t{1} << (length - 1) | low);
    lengths.add(length);
  }
  decoder.finish();
  return counts;
}

}  // namespace elbo
