#include "elbo/io/frequencies.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

#include "elbo/base/error.h"
#include "elbo/base/text.h"

namespace elbo {
namespace {

__extension__ typedef unsigned __int128 Wide;

/// Weights have this many bits, so that a weight times 2^bits fits in 64.
constexpr int weight_bits(int bits) { return 63 - bits; }

void check_alphabet(size_t num_symbols, int bits) {
  if (bits < 0 || bits > kMaxFrequencyBits) {
    throw UsageError(text("frequencies: got ", bits, " bits, expected 0 to ", kMaxFrequencyBits));
  }
  if (num_symbols < 1 || num_symbols > size_t{1} << bits) {
    throw UsageError(text("frequencies: got ", num_symbols, " symbols for ", bits, " bits, expected 1 to ", size_t{1} << bits,
                          "; take frequency_bits(num_symbols)"));
  }
}

/// Hamilton's method on top of 1 each. Every weight is below 2^weight_bits(bits).
FrequencyTable apportion(std::span<const uint64_t> weights, int bits) {
  const uint64_t spare = (uint64_t{1} << bits) - weights.size();
  const uint64_t total = std::accumulate(weights.begin(), weights.end(), uint64_t{0});
  std::vector<uint32_t> frequencies(weights.size());
  std::vector<uint64_t> remainders(weights.size());
  uint64_t left = spare;
  for (size_t i = 0; i < weights.size(); ++i) {
    const uint64_t product = weights[i] * spare;
    const uint64_t share = product / total;
    remainders[i] = product % total;
    frequencies[i] = static_cast<uint32_t>(1 + share);
    left -= share;
  }
  std::vector<uint32_t> order(weights.size());
  std::iota(order.begin(), order.end(), 0U);
  const auto middle = order.begin() + static_cast<std::ptrdiff_t>(left);
  std::nth_element(order.begin(), middle, order.end(), [&remainders](uint32_t a, uint32_t b) {
    return remainders[a] != remainders[b] ? remainders[a] > remainders[b] : a < b;
  });
  std::for_each(order.begin(), middle, [&frequencies](uint32_t i) { ++frequencies[i]; });
  return FrequencyTable(frequencies, bits);
}

template <class T>
FrequencyTable from_probabilities(std::span<const T> given, int bits) {
  check_alphabet(given.size(), bits);
  for (size_t i = 0; i < given.size(); ++i) {
    if (!(given[i] >= 0) || std::isinf(given[i])) {
      throw NumericalError(text("frequencies: the probability of symbol ", i, " is ", given[i], ", expected a number >= 0"));
    }
  }
  int exponent = 0;
  std::frexp(*std::max_element(given.begin(), given.end()), &exponent);
  std::vector<uint64_t> weights(given.size());
  uint64_t any = 0;
  for (size_t i = 0; i < given.size(); ++i) {
    weights[i] = static_cast<uint64_t>(std::ldexp(static_cast<double>(given[i]), weight_bits(bits) - exponent));
    any |= weights[i];
  }
  if (any == 0) throw NumericalError("frequencies: all probabilities are 0, expected one above it");
  return apportion(weights, bits);
}

/// 2^-(i / 2^10) and 2^-(i / 2^20) for i < 2^10, each in units of 2^-31.
struct PowerTables {
  std::array<uint32_t, 1024> coarse = {};
  std::array<uint32_t, 1024> fine = {};
};

constexpr Wide square_root(Wide value) {
  Wide root = 0;
  for (int bit = 62; bit >= 0; --bit) {
    const Wide trial = root | Wide{1} << bit;
    if (trial * trial <= value) root = trial;
  }
  return root;
}

constexpr PowerTables make_power_tables() {
  constexpr int kFraction = 62;
  std::array<Wide, 21> roots = {Wide{1} << (kFraction - 1)};  // roots[k] = 2^-(2^-k)
  for (size_t k = 1; k < roots.size(); ++k) roots[k] = square_root(roots[k - 1] << kFraction);
  PowerTables tables;
  const auto power = [&roots](size_t i, size_t first) {  // roots[first] is that of the lowest bit
    Wide product = Wide{1} << kFraction;
    for (size_t bit = 0; bit < 10; ++bit) {
      if ((i >> bit & 1) != 0) product = product * roots[first - bit] >> kFraction;
    }
    return static_cast<uint32_t>((product + (Wide{1} << 30)) >> 31);
  };
  for (size_t i = 0; i < 1024; ++i) {
    tables.coarse[i] = power(i, 10);
    tables.fine[i] = power(i, 20);
  }
  return tables;
}

constexpr PowerTables kPowers = make_power_tables();

template <class T>
FrequencyTable from_logits(std::span<const T> logits, int bits) {
  check_alphabet(logits.size(), bits);
  for (size_t i = 0; i < logits.size(); ++i) {
    if (std::isnan(logits[i]) || logits[i] == std::numeric_limits<T>::infinity()) {
      throw NumericalError(text("frequencies: the logit of symbol ", i, " is ", logits[i], ", expected a number or -inf"));
    }
  }
  const double largest = *std::max_element(logits.begin(), logits.end());
  if (std::isinf(largest)) throw NumericalError("frequencies: all logits are -inf, expected one above it");
  constexpr double kStepsPerNat = 1.4426950408889634 * (1 << 20);
  std::vector<uint64_t> weights(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    // A difference, then a product: nothing that a compiler could fuse.
    const double distance = (largest - static_cast<double>(logits[i])) * kStepsPerNat;
    if (distance >= 63.0 * (1 << 20)) continue;
    const auto steps = static_cast<uint32_t>(distance);
    const uint64_t fraction = uint64_t{kPowers.coarse[steps >> 10 & 1023]} * kPowers.fine[steps & 1023];
    const uint32_t shift = static_cast<uint32_t>(bits) + (steps >> 20);
    weights[i] = shift < 64 ? fraction >> shift : 0;
  }
  return apportion(weights, bits);
}

}  // namespace

int frequency_bits(int64_t num_symbols) {
  constexpr int64_t kMost = 1 << 21;
  if (num_symbols < 1 || num_symbols > kMost) {
    throw UsageError(text("frequencies: got an alphabet of ", num_symbols, " symbols, expected 1 to ", kMost,
                          "; code larger ones in two parts"));
  }
  return std::max(16, static_cast<int>(std::bit_width(static_cast<uint64_t>(num_symbols - 1))) + 10);
}

FrequencyTable::FrequencyTable(std::span<const uint32_t> frequencies, int bits) : bits_(bits) {
  check_alphabet(frequencies.size(), bits);
  starts_.reserve(frequencies.size() + 1);
  uint64_t sum = 0;
  for (size_t i = 0; i < frequencies.size(); ++i) {
    if (frequencies[i] == 0) throw UsageError(text("frequencies: that of symbol ", i, " is 0, expected at least 1"));
    starts_.push_back(static_cast<uint32_t>(sum));
    sum += frequencies[i];
  }
  if (sum != uint64_t{1} << bits) {
    throw UsageError(text("frequencies: they sum to ", sum, ", expected ", uint64_t{1} << bits));
  }
  starts_.push_back(static_cast<uint32_t>(sum));
}

Interval FrequencyTable::interval(uint32_t symbol) const {
  if (symbol >= num_symbols()) {
    throw UsageError(text("frequencies: got symbol ", symbol, ", expected one below ", num_symbols()));
  }
  return {.start = starts_[symbol], .frequency = starts_[symbol + 1] - starts_[symbol]};
}

uint32_t FrequencyTable::find(uint32_t slot) const {
  // Among the starts alone: a slot beyond the end gives the last symbol, not an index outside.
  return static_cast<uint32_t>(std::upper_bound(starts_.begin(), starts_.end() - 1, slot) - starts_.begin() - 1);
}

double FrequencyTable::cost_bits(uint32_t symbol) const { return bits_ - std::log2(interval(symbol).frequency); }

FrequencyTable frequencies_from_probabilities(std::span<const double> weights, int bits) {
  return from_probabilities(weights, bits);
}
FrequencyTable frequencies_from_probabilities(std::span<const float> weights, int bits) {
  return from_probabilities(weights, bits);
}
FrequencyTable frequencies_from_logits(std::span<const double> logits, int bits) { return from_logits(logits, bits); }
FrequencyTable frequencies_from_logits(std::span<const float> logits, int bits) { return from_logits(logits, bits); }

FrequencyTable frequencies_from_counts(std::span<const uint64_t> counts, int bits) {
  check_alphabet(counts.size(), bits);
  const uint64_t largest = *std::max_element(counts.begin(), counts.end());
  if (largest == 0) return uniform_frequencies(static_cast<int64_t>(counts.size()), bits);
  std::vector<uint64_t> weights(counts.begin(), counts.end());
  const int excess = static_cast<int>(std::bit_width(largest)) - weight_bits(bits);
  if (excess > 0) {
    for (auto& weight : weights) weight >>= excess;
  }
  return apportion(weights, bits);
}

FrequencyTable uniform_frequencies(int64_t num_symbols, int bits) {
  check_alphabet(static_cast<size_t>(std::max<int64_t>(num_symbols, 0)), bits);
  return apportion(std::vector<uint64_t>(static_cast<size_t>(num_symbols), 1), bits);
}

}  // namespace elbo
