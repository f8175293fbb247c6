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

/// Quotients and remainders of numbers below 2^63 by one divisor, by a product where a division would take five times as long.
class Divisor {
 public:
  explicit Divisor(uint64_t value) : value_(value), inverse_(std::numeric_limits<uint64_t>::max() / value) {}
  /// The remainder takes the number's place.
  uint64_t divide(uint64_t& number) const {
    auto quotient = static_cast<uint64_t>(Wide{number} * inverse_ >> 64);  // or one less
    number -= quotient * value_;
    const uint64_t missing = number >= value_ ? 1 : 0;
    number -= missing * value_;
    return quotient + missing;
  }

 private:
  uint64_t value_, inverse_;
};

/// What tables are made in. Each thread keeps its own, so that a vocabulary's memory is asked for once.
struct Workplace {
  std::vector<uint64_t> weights = {};
  std::vector<uint32_t> frequencies = {};
  std::vector<uint32_t> bins = {};
  std::vector<std::pair<uint64_t, uint32_t>> bin = {};
};

Workplace& workplace() {
  static thread_local Workplace place;
  return place;
}

/// What is rounded up: the largest remainders, ties to the lower symbol.
struct RoundedUp {
  uint64_t least = std::numeric_limits<uint64_t>::max();
  int64_t last_of_least = -1;

  bool operator()(uint64_t remainder, size_t i) const {
    return remainder > least || (remainder == least && static_cast<int64_t>(i) <= last_of_least);
  }
};

/// The `count` largest of remainders below `total`. They are sorted into bins first, so that only one bin has to be looked at.
RoundedUp largest_remainders(std::span<const uint64_t> remainders, uint64_t count, uint64_t total, Workplace& place) {
  if (count == 0) return {};
  constexpr int kMostBinBits = 11;
  const int bin_bits = std::min(kMostBinBits, static_cast<int>(std::bit_width(remainders.size())));
  const int shift = std::max(0, static_cast<int>(std::bit_width(total)) - bin_bits);
  place.bins.assign(size_t{1} << bin_bits, 0);
  auto* bins = place.bins.data();
  for (const uint64_t remainder : remainders) ++bins[remainder >> shift];
  size_t bin = place.bins.size();
  uint64_t reached = 0;
  while (reached < count) reached += bins[--bin];
  place.bin.clear();
  for (size_t i = 0; i < remainders.size(); ++i) {
    if (remainders[i] >> shift == bin) place.bin.emplace_back(~remainders[i], static_cast<uint32_t>(i));  // largest first
  }
  const auto last = place.bin.begin() + static_cast<std::ptrdiff_t>(count - (reached - bins[bin]) - 1);
  std::nth_element(place.bin.begin(), last, place.bin.end());
  return {.least = ~last->first, .last_of_least = last->second};
}

/// Hamilton's method on top of 1 each: what is left in shares rounded down, then one more where RoundedUp says so. Every weight
/// is below 2^weight_bits(bits); remainders take their place. The frequencies without the last one lie in the workplace.
RoundedUp apportion(std::span<uint64_t> weights, int bits, Workplace& place) {
  const uint64_t spare = (uint64_t{1} << bits) - weights.size();
  const uint64_t total = std::accumulate(weights.begin(), weights.end(), uint64_t{0});
  const Divisor divisor(total);
  place.frequencies.resize(weights.size());
  auto* frequencies = place.frequencies.data();
  uint64_t left = spare;
  for (size_t i = 0; i < weights.size(); ++i) {
    uint64_t product = weights[i] * spare;
    const uint64_t share = divisor.divide(product);
    weights[i] = product;
    frequencies[i] = static_cast<uint32_t>(1 + share);
    left -= share;
  }
  return largest_remainders(weights, left, total, place);
}

}  // namespace

namespace detail {

/// Makes tables without looking at them again.
struct TableOf {
  static FrequencyTable weights(std::span<uint64_t> weights, int bits, Workplace& place) {
    const auto rounded_up = apportion(weights, bits, place);
    FrequencyTable table;
    table.bits_ = bits;
    table.starts_.resize(weights.size() + 1);
    auto* starts = table.starts_.data();
    const auto* frequencies = place.frequencies.data();
    uint32_t sum = 0;
    const auto add = [&](size_t i, bool up) {
      starts[i] = sum;
      sum += frequencies[i] + static_cast<uint32_t>(up);
    };
    const auto tied = static_cast<size_t>(rounded_up.last_of_least + 1);
    for (size_t i = 0; i < tied; ++i) add(i, weights[i] >= rounded_up.least);
    for (size_t i = tied; i < weights.size(); ++i) add(i, weights[i] > rounded_up.least);
    starts[weights.size()] = sum;
    return table;
  }
};

}  // namespace detail

namespace {

FrequencyTable table_of(std::span<uint64_t> weights, int bits) { return detail::TableOf::weights(weights, bits, workplace()); }

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
  return table_of(weights, bits);
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

/// Into `weights`, which keeps its memory.
template <class T>
void weigh_logits(std::span<const T> logits, int bits, std::vector<uint64_t>& weights) {
  check_alphabet(logits.size(), bits);
  for (size_t i = 0; i < logits.size(); ++i) {
    if (std::isnan(logits[i]) || logits[i] == std::numeric_limits<T>::infinity()) {
      throw NumericalError(text("frequencies: the logit of symbol ", i, " is ", logits[i], ", expected a number or -inf"));
    }
  }
  const double largest = *std::max_element(logits.begin(), logits.end());
  if (std::isinf(largest)) throw NumericalError("frequencies: all logits are -inf, expected one above it");
  constexpr double kStepsPerNat = 1.4426950408889634 * (1 << 20);
  constexpr double kMostSteps = 63.0 * (1 << 20);  // below are weights of 0, as are 63 and more powers of two
  weights.resize(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    // A difference, then a product: nothing that a compiler could fuse.
    const double distance = std::min((largest - static_cast<double>(logits[i])) * kStepsPerNat, kMostSteps);
    const auto steps = static_cast<uint32_t>(static_cast<int32_t>(distance));
    const uint64_t fraction = uint64_t{kPowers.coarse[steps >> 10 & 1023]} * kPowers.fine[steps & 1023];
    const uint32_t shift = static_cast<uint32_t>(bits) + (steps >> 20);
    weights[i] = shift < 63 ? fraction >> shift : 0;
  }
}

template <class T>
FrequencyTable from_logits(std::span<const T> logits, int bits) {
  auto& weights = workplace().weights;
  weigh_logits(logits, bits, weights);
  return table_of(weights, bits);
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

Interval interval_from_logits(std::span<const double> logits, int bits, uint32_t symbol) {
  if (symbol >= logits.size()) {
    throw UsageError(text("frequencies: got symbol ", symbol, ", expected one below ", logits.size()));
  }
  auto& place = workplace();
  weigh_logits(logits, bits, place.weights);
  const auto rounded_up = apportion(place.weights, bits, place);
  const auto frequency = [&](uint32_t i) {
    return place.frequencies[i] + static_cast<uint32_t>(rounded_up(place.weights[i], i));
  };
  uint32_t start = 0;
  for (uint32_t i = 0; i < symbol; ++i) start += frequency(i);
  return {.start = start, .frequency = frequency(symbol)};
}

FrequencyTable frequencies_from_counts(std::span<const uint64_t> counts, int bits) {
  check_alphabet(counts.size(), bits);
  const uint64_t largest = *std::max_element(counts.begin(), counts.end());
  if (largest == 0) return uniform_frequencies(static_cast<int64_t>(counts.size()), bits);
  std::vector<uint64_t> weights(counts.begin(), counts.end());
  const int excess = static_cast<int>(std::bit_width(largest)) - weight_bits(bits);
  if (excess > 0) {
    for (auto& weight : weights) weight >>= excess;
  }
  return table_of(weights, bits);
}

FrequencyTable uniform_frequencies(int64_t num_symbols, int bits) {
  check_alphabet(static_cast<size_t>(std::max<int64_t>(num_symbols, 0)), bits);
  std::vector<uint64_t> weights(static_cast<size_t>(num_symbols), 1);
  return table_of(weights, bits);
}

}  // namespace elbo
