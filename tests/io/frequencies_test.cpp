#include "elbo/io/frequencies.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <utility>

#include "elbo/base/error.h"
#include "io_support.h"

namespace frequencies_test {
namespace {

using namespace elbo;
using io_test::message_of;
using ::testing::ElementsAre;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::vector<uint32_t> frequencies_of(const FrequencyTable& table) {
  std::vector<uint32_t> all;
  for (uint32_t i = 0; i < table.num_symbols(); ++i) all.push_back(table.interval(i).frequency);
  return all;
}

std::vector<double> normalised(std::vector<double> weights) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (auto& w : weights) w /= sum;
  return weights;
}

std::vector<double> softmax(const std::vector<double>& logits) {
  std::vector<double> p;
  for (const double x : logits) p.push_back(std::exp(x));
  return normalised(p);
}

struct Excess {
  double entropy_bits = 0;
  double kl_bits = 0;
  double worst_bits = 0;  // of one symbol, over those that the model gives more than 2^-30
};

Excess excess_of(const FrequencyTable& table, const std::vector<double>& p) {
  Excess excess;
  for (uint32_t i = 0; i < table.num_symbols(); ++i) {
    if (p[i] <= 0) continue;
    const double over = table.cost_bits(i) + std::log2(p[i]);
    excess.entropy_bits -= p[i] * std::log2(p[i]);
    excess.kl_bits += p[i] * over;
    if (p[i] > 0x1p-30) excess.worst_bits = std::max(excess.worst_bits, over);
  }
  return excess;
}

std::vector<std::vector<double>> logits_for_tests(size_t num_symbols) {
  std::mt19937_64 random(num_symbols);
  std::normal_distribution<double> normal;
  std::vector<std::vector<double>> all(4, std::vector<double>(num_symbols));
  for (size_t i = 0; i < num_symbols; ++i) {
    const double x = static_cast<double>(i);
    all[0][i] = -std::log(x + 1);                                                // Zipf
    all[1][i] = 3 * normal(random);                                              // a network's softmax
    all[2][i] = -0.5 * std::pow((x - num_symbols / 2.0) / 4, 2);                 // a narrow Gaussian over many symbols
    all[3][i] = std::log(std::gamma_distribution<double>(0.3)(random) + 1e-12);  // Dirichlet(0.3)
  }
  return all;
}

TEST(Frequencies, BitsGrowWithTheAlphabet) {
  EXPECT_EQ(frequency_bits(1), 16);
  EXPECT_EQ(frequency_bits(64), 16);
  EXPECT_EQ(frequency_bits(65), 17);
  EXPECT_EQ(frequency_bits(512), 19);
  EXPECT_EQ(frequency_bits(8192), 23);
  EXPECT_EQ(frequency_bits(65536), 26);
  EXPECT_EQ(frequency_bits(1 << 21), 31);
  EXPECT_EQ(message_of<UsageError>([] { frequency_bits((1 << 21) + 1); }),
            "frequencies: got an alphabet of 2097153 symbols, expected 1 to 2097152; code larger ones in two parts");
}

TEST(Frequencies, AreOnePlusTheLargestRemaindersShareOfTheRest) {
  // 16 - 4 = 12 to share: 6, 3.6, 1.2, 1.2 -> 6, 3, 1, 1 and the last one to the .6
  EXPECT_THAT(frequencies_of(frequencies_from_counts(std::vector<uint64_t>{10, 6, 2, 2}, 4)), ElementsAre(7, 5, 2, 2));
  EXPECT_THAT(frequencies_of(frequencies_from_probabilities(std::vector<double>{.5, .3, .1, .1}, 4)), ElementsAre(7, 5, 2, 2));
  EXPECT_THAT(frequencies_of(frequencies_from_probabilities(std::vector<float>{5, 3, 1, 1}, 4)), ElementsAre(7, 5, 2, 2));
  EXPECT_THAT(frequencies_of(frequencies_from_counts(std::vector<uint64_t>{0, 0, 7}, 4)), ElementsAre(1, 1, 14));
}

TEST(Frequencies, TiesGoToTheLowerSymbol) {
  EXPECT_THAT(frequencies_of(uniform_frequencies(5, 3)), ElementsAre(2, 2, 2, 1, 1));
  EXPECT_THAT(frequencies_of(frequencies_from_counts(std::vector<uint64_t>(5, 0), 3)), ElementsAre(2, 2, 2, 1, 1));
  EXPECT_THAT(frequencies_of(uniform_frequencies(8, 3)), ElementsAre(1, 1, 1, 1, 1, 1, 1, 1));
  EXPECT_THAT(frequencies_of(uniform_frequencies(1, 31)), ElementsAre(1U << 31));
  EXPECT_EQ(uniform_frequencies(512, 19).cost_bits(77), 9.0);
}

/// Hamilton's method as it is told: divide, sort, hand out.
std::vector<uint32_t> by_largest_remainders(const std::vector<uint64_t>& weights, int bits) {
  __extension__ typedef unsigned __int128 Wide;
  const uint64_t spare = (uint64_t{1} << bits) - weights.size();
  const uint64_t total = std::accumulate(weights.begin(), weights.end(), uint64_t{0});
  std::vector<uint32_t> frequencies(weights.size()), order(weights.size());
  std::vector<uint64_t> remainders(weights.size());
  uint64_t left = spare;
  for (size_t i = 0; i < weights.size(); ++i) {
    const auto share = static_cast<uint64_t>(Wide{weights[i]} * spare / total);
    remainders[i] = static_cast<uint64_t>(Wide{weights[i]} * spare % total);
    frequencies[i] = static_cast<uint32_t>(1 + share);
    left -= share;
  }
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return remainders[a] > remainders[b]; });
  for (uint64_t k = 0; k < left; ++k) ++frequencies[order[k]];
  return frequencies;
}

TEST(Frequencies, AreThoseOfASlowAndPlainMethod) {
  std::mt19937_64 random(4);
  for (const size_t num_symbols : {1, 2, 3, 7, 64, 300, 5000, 70000}) {
    const int bits = frequency_bits(static_cast<int64_t>(num_symbols));
    for (const uint64_t most : {uint64_t{1}, uint64_t{5}, uint64_t{1000}, (uint64_t{1} << (63 - bits)) - 1}) {
      for (const bool mostly_zero : {false, true}) {
        std::vector<uint64_t> counts(num_symbols);
        for (auto& count : counts) count = mostly_zero && random() % 16 != 0 ? 0 : random() % (most + 1);
        counts[num_symbols / 2] = most;
        EXPECT_EQ(frequencies_of(frequencies_from_counts(counts, bits)), by_largest_remainders(counts, bits))
            << num_symbols << " symbols, counts to " << most;
      }
    }
  }
}

TEST(Frequencies, AnIntervalAloneIsTheTables) {
  for (const size_t num_symbols : {1, 2, 17, 8192}) {
    const int bits = frequency_bits(static_cast<int64_t>(num_symbols));
    for (auto logits : logits_for_tests(num_symbols)) {
      if (num_symbols > 2) logits[1] = -kInfinity;
      const auto table = frequencies_from_logits(logits, bits);
      for (uint32_t symbol = 0; symbol < num_symbols; symbol += 1 + static_cast<uint32_t>(num_symbols / 50)) {
        const auto interval = interval_from_logits(logits, bits, symbol);
        EXPECT_EQ(interval.start, table.interval(symbol).start);
        EXPECT_EQ(interval.frequency, table.interval(symbol).frequency);
      }
    }
  }
  EXPECT_EQ(message_of<UsageError>([] {
              interval_from_logits(std::vector<double>{0, 1}, 16, 2);
            }),
            "frequencies: got symbol 2, expected one below 2");
  EXPECT_EQ(message_of<NumericalError>([] {
              interval_from_logits(std::vector<double>{0, std::nan("")}, 16, 1);
            }),
            "frequencies: the logit of symbol 1 is nan, expected a number or -inf");
}

TEST(Frequencies, CostNoMoreThanATenthOfAPercentOverTheModel) {
  for (const size_t num_symbols : {2, 3, 17, 512, 8192, 131072}) {
    const int bits = frequency_bits(static_cast<int64_t>(num_symbols));
    const double bound = -std::log2(1 - num_symbols / std::exp2(bits));
    int kind = 0;
    for (const auto& logits : logits_for_tests(num_symbols)) {
      SCOPED_TRACE("V " + std::to_string(num_symbols) + ", distribution " + std::to_string(kind++));
      const auto p = softmax(logits);
      for (const auto& table : {frequencies_from_logits(logits, bits), frequencies_from_probabilities(p, bits)}) {
        const auto excess = excess_of(table, p);
        EXPECT_GE(excess.kl_bits, -1e-9);
        EXPECT_LE(excess.kl_bits, 0.001 * excess.entropy_bits);
        EXPECT_LE(excess.kl_bits, 0.00141);
        EXPECT_LE(excess.worst_bits, bound + 2e-6);
      }
    }
  }
}

TEST(Frequencies, TwentyFourBitsServeUpTo2To17Symbols) {
  for (const auto& logits : logits_for_tests(1 << 17)) {
    const auto p = softmax(logits);
    const auto excess = excess_of(frequencies_from_logits(logits, 24), p);
    EXPECT_LE(excess.kl_bits, 0.0114);  // -log2(1 - 2^17 / 2^24)
  }
}

TEST(Frequencies, SoftmaxInIntegersIsTheSoftmax) {
  // Of two symbols at 31 bits, over the whole range that an integer can resolve.
  for (double logit = 0; logit < 21; logit += 0.37) {
    const auto table = frequencies_from_logits(std::vector<double>{0, -logit}, 31);
    const double p = 1 / (1 + std::exp(logit));
    EXPECT_NEAR(table.interval(1).frequency, 1 + p * (std::exp2(31) - 2), 2 + 7e-7 * p * std::exp2(31)) << logit;
  }
}

TEST(Frequencies, OfLogitsDependOnDifferencesOnlyAndNotOnTheFloatType) {
  const std::vector<float> logits = {0.25F, -3.5F, 1.75F, -INFINITY, -1000.0F};
  std::vector<float> shifted;
  for (const float x : logits) shifted.push_back(x + 64);
  const auto expected = frequencies_of(frequencies_from_logits(logits, 16));
  EXPECT_EQ(frequencies_of(frequencies_from_logits(shifted, 16)), expected);
  EXPECT_EQ(frequencies_of(frequencies_from_logits(std::vector<double>(logits.begin(), logits.end()), 16)), expected);
  EXPECT_EQ(expected[3], 1);
  EXPECT_EQ(expected[4], 1);
}

/// A file made by another build must decode: these integers may never change.
TEST(Frequencies, AreTheSameOnEveryMachine) {
  uint64_t hash = 14695981039346656037U;
  for (const size_t num_symbols : {7, 512, 5000}) {
    std::vector<float> logits;
    uint32_t state = 12345;
    for (size_t i = 0; i < num_symbols; ++i) {
      state = state * 1664525 + 1013904223;
      logits.push_back(static_cast<float>(static_cast<int32_t>(state) >> 8) * 0x1p-20F);  // -8 to 8
    }
    for (const uint32_t f : frequencies_of(frequencies_from_logits(logits, 23))) hash = (hash ^ f) * 1099511628211U;
  }
  EXPECT_EQ(hash, 18169368522893204995U);
}

TEST(Frequencies, TakeCountsAndWeightsOfAnySize) {
  const uint64_t huge = std::numeric_limits<uint64_t>::max();
  EXPECT_THAT(frequencies_of(frequencies_from_counts(std::vector<uint64_t>{huge, huge, 1}, 5)), ElementsAre(16, 15, 1));
  EXPECT_THAT(frequencies_of(frequencies_from_probabilities(std::vector<double>{1e308, 1e308, 1e-308}, 5)),
              ElementsAre(16, 15, 1));
  EXPECT_THAT(frequencies_of(frequencies_from_probabilities(std::vector<double>{5e-324, 5e-324, 0}, 5)), ElementsAre(16, 15, 1));
  EXPECT_EQ(frequencies_of(frequencies_from_counts(std::vector<uint64_t>(1 << 20, huge), 31)),
            std::vector<uint32_t>(1 << 20, 2048));
}

TEST(Frequencies, FindTheSymbolOfEverySlot) {
  const auto table = frequencies_from_counts(std::vector<uint64_t>{3, 0, 0, 9, 1}, 8);
  uint32_t slot = 0;
  for (uint32_t symbol = 0; symbol < table.num_symbols(); ++symbol) {
    EXPECT_EQ(table.interval(symbol).start, slot);
    for (uint32_t i = 0; i < table.interval(symbol).frequency; ++i) ASSERT_EQ(table.find(slot++), symbol);
  }
  EXPECT_EQ(slot, 256U);
  EXPECT_EQ(table.find(1000), 4U);
}

TEST(Frequencies, RefuseWhatIsNoDistribution) {
  const double nan = std::nan("");
  EXPECT_EQ(message_of<NumericalError>([&] {
              frequencies_from_logits(std::vector<double>{0, nan}, 16);
            }),
            "frequencies: the logit of symbol 1 is nan, expected a number or -inf");
  EXPECT_EQ(message_of<NumericalError>([&] {
              frequencies_from_logits(std::vector<float>{0, 1, INFINITY}, 16);
            }),
            "frequencies: the logit of symbol 2 is inf, expected a number or -inf");
  EXPECT_EQ(message_of<NumericalError>([&] { frequencies_from_logits(std::vector<double>{-kInfinity}, 16); }),
            "frequencies: all logits are -inf, expected one above it");
  EXPECT_EQ(message_of<NumericalError>([&] {
              frequencies_from_probabilities(std::vector<double>{.5, -.5}, 16);
            }),
            "frequencies: the probability of symbol 1 is -0.5, expected a number >= 0");
  EXPECT_EQ(message_of<NumericalError>([&] { frequencies_from_probabilities(std::vector<double>{nan}, 16); }),
            "frequencies: the probability of symbol 0 is nan, expected a number >= 0");
  EXPECT_EQ(message_of<NumericalError>([&] {
              frequencies_from_probabilities(std::vector<float>{0, 0}, 16);
            }),
            "frequencies: all probabilities are 0, expected one above it");
  EXPECT_EQ(message_of<UsageError>([&] { uniform_frequencies(17, 4); }),
            "frequencies: got 17 symbols for 4 bits, expected 1 to 16; take frequency_bits(num_symbols)");
  EXPECT_EQ(message_of<UsageError>([&] { uniform_frequencies(-1, 4); }),
            "frequencies: got 0 symbols for 4 bits, expected 1 to 16; take frequency_bits(num_symbols)");
  EXPECT_EQ(message_of<UsageError>([&] { uniform_frequencies(2, 32); }), "frequencies: got 32 bits, expected 0 to 31");
  EXPECT_EQ(message_of<UsageError>([&] {
              FrequencyTable(std::vector<uint32_t>{3, 0, 5}, 3);
            }),
            "frequencies: that of symbol 1 is 0, expected at least 1");
  EXPECT_EQ(message_of<UsageError>([&] {
              FrequencyTable(std::vector<uint32_t>{3, 4}, 3);
            }),
            "frequencies: they sum to 7, expected 8");
  EXPECT_EQ(message_of<UsageError>([&] { uniform_frequencies(2, 3).interval(2); }),
            "frequencies: got symbol 2, expected one below 2");
}

}  // namespace
}  // namespace frequencies_test
