#include "elbo/io/rans.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <random>

#include "elbo/base/error.h"
#include "io_support.h"

namespace rans_test {
namespace {

using namespace elbo;
using io_test::message_of;
using ::testing::HasSubstr;

/// Weights of kind 0 uniform, 1 Zipf, 2 geometric, 3 one symbol that takes nearly all.
FrequencyTable table_of(int kind, uint32_t num_symbols, int bits) {
  std::vector<double> weights;
  for (uint32_t i = 0; i < num_symbols; ++i) {
    weights.push_back(kind == 0 ? 1 : kind == 1 ? 1 / (i + 1.0) : kind == 2 ? std::pow(0.6, i) : i == num_symbols / 2 ? 1 : 1e-7);
  }
  return frequencies_from_probabilities(weights, bits);
}

std::vector<uint32_t> draw(const FrequencyTable& table, size_t count, std::mt19937_64& random) {
  std::vector<uint32_t> symbols(count);
  for (auto& s : symbols) s = table.find(static_cast<uint32_t>(random() & ((uint64_t{1} << table.bits()) - 1)));
  return symbols;
}

struct Coded {
  std::vector<uint8_t> bytes;
  double entropy_bits = 0;
};

Coded encode(const FrequencyTable& table, const std::vector<uint32_t>& symbols) {
  RansEncoder encoder(table.bits());
  Coded coded;
  for (const uint32_t s : symbols) {
    encoder.push(table, s);
    coded.entropy_bits += table.cost_bits(s);
  }
  coded.bytes = encoder.finish();
  return coded;
}

void expect_round_trip(const FrequencyTable& table, const std::vector<uint32_t>& symbols, const Coded& coded) {
  RansDecoder decoder(coded.bytes, table.bits(), "test");
  size_t wrong = 0;
  for (const uint32_t s : symbols) wrong += decoder.pop(table) != s ? 1 : 0;
  EXPECT_EQ(wrong, 0U);
  decoder.finish();
}

TEST(Rans, TakesTheCrossEntropyAndAtMost64BitsMore) {
  std::mt19937_64 random(1);
  for (const uint32_t num_symbols : {1U, 2U, 3U, 512U, 8192U, 65536U}) {
    for (int kind = 0; kind < 4; ++kind) {
      const int bits = std::min(24, frequency_bits(num_symbols));
      const auto table = table_of(kind, num_symbols, bits);
      for (const size_t length : {0, 1, 2, 7, 49, 1000, 20000}) {
        SCOPED_TRACE(testing::Message() << "V " << num_symbols << ", kind " << kind << ", length " << length);
        const auto symbols = draw(table, length, random);
        const auto coded = encode(table, symbols);
        const double size = 8.0 * static_cast<double>(coded.bytes.size());
        EXPECT_LE(size, coded.entropy_bits + 64);
        EXPECT_LE(size, coded.entropy_bits * (1 + std::exp2(bits - 31)) + bits + 16);
        EXPECT_GE(size, coded.entropy_bits * (1 - std::exp2(bits - 31)) - 2);
        expect_round_trip(table, symbols, coded);
      }
    }
  }
}

/// The bound of the header's docstring, for the symbols on which the coder loses most: drawn from another distribution.
TEST(Rans, KeepsItsBoundForAnySequence) {
  std::mt19937_64 random(2);
  for (int trial = 0; trial < 300; ++trial) {
    const int bits = 1 + static_cast<int>(random() % 31);
    const uint32_t num_symbols = 1 + static_cast<uint32_t>(random() % std::min<uint64_t>(uint64_t{1} << bits, 300));
    const auto table = table_of(static_cast<int>(random() % 4), num_symbols, bits);
    std::vector<uint32_t> symbols(random() % 400);
    const uint32_t favourite = static_cast<uint32_t>(random() % num_symbols);
    for (auto& s : symbols) s = random() % 3 == 0 ? static_cast<uint32_t>(random() % num_symbols) : favourite;
    const auto coded = encode(table, symbols);
    EXPECT_LE(8.0 * static_cast<double>(coded.bytes.size()), coded.entropy_bits * (1 + std::exp2(bits - 31)) + bits + 16);
    expect_round_trip(table, symbols, coded);
  }
}

/// At least the cross-entropy, at most 1 % and 64 bits more (0.01 % as it turns out), and the codes themselves.
TEST(Rans, CodesLongZipfSequencesWithinAPercent) {
  std::mt19937_64 random(3);
  for (const uint32_t num_symbols : {2U, 3U, 512U, 8192U, 65536U}) {
    SCOPED_TRACE(num_symbols);
    const auto table = table_of(1, num_symbols, frequency_bits(num_symbols));
    const auto symbols = draw(table, 100'000, random);
    const auto coded = encode(table, symbols);
    const double size = 8.0 * static_cast<double>(coded.bytes.size());
    EXPECT_GE(size, coded.entropy_bits);
    EXPECT_LE(size, 1.0001 * coded.entropy_bits + 64);
    expect_round_trip(table, symbols, coded);
  }
}

TEST(Rans, RareEventsCostTheirEntropy) {
  const auto table = frequencies_from_probabilities(std::vector<double>{.99, .01}, 16);
  std::mt19937_64 random(4);
  const auto coded = encode(table, draw(table, 1'000'000, random));
  EXPECT_NEAR(8e-6 * static_cast<double>(coded.bytes.size()), 0.0808, 0.02 * 0.0808);
}

TEST(Rans, WhatHoldsNoInformationTakesNoByte) {
  EXPECT_TRUE(RansEncoder(31).finish().empty());
  EXPECT_TRUE(encode(uniform_frequencies(1, 16), std::vector<uint32_t>(1000, 0)).bytes.empty());
  EXPECT_TRUE(encode(uniform_frequencies(1, 0), std::vector<uint32_t>(10, 0)).bytes.empty());
}

TEST(Rans, FortyNineCodesOf512TakeTwoBytesMoreThanTheirBits) {
  const auto table = uniform_frequencies(512, 19);
  std::mt19937_64 random(12);
  for (int trial = 0; trial < 20; ++trial) EXPECT_EQ(encode(table, draw(table, 49, random)).bytes.size(), 58U);  // 441 bits: 56
}

/// The format: a state of 2^3, symbols pushed backwards, the state's bytes, lowest first.
TEST(Rans, GivesTheseBytes) {
  const FrequencyTable table(std::vector<uint32_t>{1, 2, 5}, 3);
  // 8 -> symbol 2: 8/5 = 1 rest 3 -> 8 + 3 + 3 = 14; symbol 1: 14/2 = 7 rest 0 -> 56 + 0 + 1 = 57; symbol 0: 57 * 8 = 456
  EXPECT_EQ(encode(table, {0, 1, 2}).bytes, (std::vector<uint8_t>{0xc8, 0x01}));
  RansEncoder encoder(16);
  for (const uint64_t word : {0x1111U, 0x2222U, 0x3333U, 0x4444U}) encoder.push_bits(word, 16);
  // 2^16 takes 0x4444 and 0x3333 to 0x1000044443333; too large for another, it leaves the word 0x44443333.
  EXPECT_EQ(encoder.finish(), (std::vector<uint8_t>{0x11, 0x11, 0x22, 0x22, 0, 0, 1, 0x33, 0x33, 0x44, 0x44}));
}

TEST(Rans, EverySymbolMayHaveATableOfItsOwn) {
  std::mt19937_64 random(5);
  std::vector<FrequencyTable> tables;
  std::vector<uint32_t> symbols;
  RansEncoder encoder(24);
  double entropy_bits = 0;
  for (int i = 0; i < 2000; ++i) {
    const int bits = 1 + static_cast<int>(random() % 24);
    const auto num_symbols = 1 + static_cast<uint32_t>(random() % std::min<uint64_t>(uint64_t{1} << bits, 100));
    std::vector<double> logits(num_symbols);
    for (auto& x : logits) x = std::normal_distribution<double>(0, 4)(random);
    tables.push_back(frequencies_from_logits(logits, bits));
    symbols.push_back(draw(tables.back(), 1, random)[0]);
    encoder.push(tables.back(), symbols.back());
    entropy_bits += tables.back().cost_bits(symbols.back());
  }
  const auto bytes = encoder.finish();
  EXPECT_LE(8.0 * static_cast<double>(bytes.size()), entropy_bits + 64);
  RansDecoder decoder(bytes, 24, "test");
  for (size_t i = 0; i < symbols.size(); ++i) ASSERT_EQ(decoder.pop(tables[i]), symbols[i]);
  decoder.finish();
}

TEST(Rans, CodesCountsThatLearnAsTheyGo) {
  std::mt19937_64 random(6);
  const auto symbols = draw(table_of(2, 16, 16), 3000, random);
  std::vector<uint64_t> counts(16, 1);
  RansEncoder encoder(16);
  for (const uint32_t s : symbols) {
    encoder.push(frequencies_from_counts(counts, 16), s);
    ++counts[s];
  }
  const auto bytes = encoder.finish();
  EXPECT_LE(bytes.size(), encode(table_of(2, 16, 16), symbols).bytes.size() + 30);
  counts.assign(16, 1);
  RansDecoder decoder(bytes, 16, "test");
  for (const uint32_t s : symbols) {
    ASSERT_EQ(decoder.pop(frequencies_from_counts(counts, 16)), s);
    ++counts[s];
  }
  decoder.finish();
}

TEST(Rans, RawBitsAndIntegersComeBack) {
  constexpr uint64_t kMost = std::numeric_limits<uint64_t>::max();
  for (const int max_bits : {1, 5, 16, 31}) {
    RansEncoder encoder(max_bits);
    for (int width = 0; width <= 64; ++width) encoder.push_bits(0x9e3779b97f4a7c15U, width);
    for (const uint64_t value : {uint64_t{0}, uint64_t{1}, uint64_t{2}, uint64_t{254}, uint64_t{255}, kMost / 2, kMost - 1}) {
      encoder.push_integer(value);
    }
    const auto bytes = encoder.finish();
    RansDecoder decoder(bytes, max_bits, "test");
    for (int width = 0; width <= 64; ++width) {
      const uint64_t expected = width == 64 ? 0x9e3779b97f4a7c15U : 0x9e3779b97f4a7c15U & ((uint64_t{1} << width) - 1);
      ASSERT_EQ(decoder.pop_bits(width), expected) << width;
    }
    for (const uint64_t value : {uint64_t{0}, uint64_t{1}, uint64_t{2}, uint64_t{254}, uint64_t{255}, kMost / 2, kMost - 1}) {
      ASSERT_EQ(decoder.pop_integer(), value);
    }
    decoder.finish();
  }
}

TEST(Rans, AnIntegerCostsItsEliasGammaCode) {
  for (const uint64_t value : {0U, 1U, 2U, 3U, 6U, 7U, 1000U}) {
    RansEncoder encoder(16);
    for (int i = 0; i < 1000; ++i) encoder.push_integer(value);
    const double bits = 2 * std::floor(std::log2(value + 1)) + 1;
    EXPECT_NEAR(8.0 * static_cast<double>(encoder.finish().size()), 1000 * bits, 32) << value;
  }
}

TEST(Rans, ZigzagIsAOneToOneMap) {
  constexpr int64_t kLeast = std::numeric_limits<int64_t>::min();
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  EXPECT_EQ((std::vector<uint64_t>{zigzag(0), zigzag(-1), zigzag(1), zigzag(-2), zigzag(2)}),
            (std::vector<uint64_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(zigzag(kLeast), std::numeric_limits<uint64_t>::max());
  for (const int64_t value : {int64_t{0}, int64_t{-1}, int64_t{1}, int64_t{-77}, kLeast, kLeast + 1, kMost}) {
    EXPECT_EQ(unzigzag(zigzag(value)), value);
  }
}

TEST(Rans, EscapedIntegersComeBackAndCommonOnesCostTheirProbability) {
  std::mt19937_64 random(7);
  const auto table = frequencies_from_counts(std::vector<uint64_t>{50, 25, 12, 6, 1}, 16);
  std::vector<uint64_t> values;
  for (int i = 0; i < 2000; ++i) values.push_back(random() % 100 == 0 ? random() >> random() % 64 : random() % 4);
  values.insert(values.end(), {3, 4, 5, std::numeric_limits<uint64_t>::max() - 1});
  RansEncoder encoder(16);
  double expected_bits = 0;
  for (const uint64_t v : values) {
    encoder.push_escaped(table, v);
    expected_bits += table.cost_bits(static_cast<uint32_t>(std::min<uint64_t>(v, 4)));
    if (v >= 4) expected_bits += 2 * std::floor(std::log2(static_cast<double>(v - 4) + 1)) + 1;
  }
  const auto bytes = encoder.finish();
  EXPECT_NEAR(8.0 * static_cast<double>(bytes.size()), expected_bits, 64);
  RansDecoder decoder(bytes, 16, "test");
  for (const uint64_t v : values) ASSERT_EQ(decoder.pop_escaped(table), v);
  decoder.finish();
}

TEST(Rans, ReadingBeyondTheEndIsAnErrorAtOnce) {
  std::mt19937_64 random(8);
  for (const int kind : {0, 1, 2, 3}) {
    for (const size_t length : {0, 1, 5, 100}) {
      const auto table = table_of(kind, 40, 16);
      const auto coded = encode(table, draw(table, length, random));
      RansDecoder decoder(coded.bytes, 16, "codes.elbo: stream 3");
      for (size_t i = 0; i < length; ++i) decoder.pop(table);
      decoder.finish();
      EXPECT_EQ(
          message_of<DataError>([&] { decoder.pop(table); }),
          "codes.elbo: stream 3: byte " + std::to_string(coded.bytes.size()) +
              ": the codes end here, expected another one; the stream is damaged, or this isn't the model that it was coded "
              "with");
    }
  }
}

TEST(Rans, ReadingTooLittleIsAnError) {
  const auto table = table_of(1, 40, 16);
  std::mt19937_64 random(9);
  const auto coded = encode(table, draw(table, 50, random));
  RansDecoder decoder(coded.bytes, 16, "codes");
  for (size_t i = 0; i < 49; ++i) decoder.pop(table);
  EXPECT_THAT(message_of<DataError>([&] { decoder.finish(); }), HasSubstr(": more was coded than has been read; "));
  decoder.pop(table);
  decoder.finish();
}

TEST(Rans, AnotherModelIsNoticed) {
  std::mt19937_64 random(10);
  const auto table = table_of(1, 100, 17);
  const auto other = table_of(2, 100, 17);
  int noticed = 0;
  for (int trial = 0; trial < 100; ++trial) {
    const auto coded = encode(table, draw(table, 200, random));
    try {
      RansDecoder decoder(coded.bytes, 17, "codes");
      for (int i = 0; i < 200; ++i) decoder.pop(other);
      decoder.finish();
    } catch (const DataError&) {
      ++noticed;
    }
  }
  EXPECT_EQ(noticed, 100);
}

TEST(Rans, HostileBytesGiveSymbolsOrADataError) {
  std::mt19937_64 random(11);
  const auto table = table_of(1, 300, 20);
  int refused = 0;
  for (int trial = 0; trial < 5000; ++trial) {
    std::vector<uint8_t> bytes(random() % 40);
    for (auto& b : bytes) b = static_cast<uint8_t>(random() % 4 == 0 ? 0 : random());
    if (trial % 2 == 0 && bytes.size() > 8) bytes[(bytes.size() - 5) % 4 + 4] = 1;  // half of them begin well
    try {
      RansDecoder decoder(bytes, 20, "hostile");
      for (int i = 0; i < 300; ++i) {
        switch (random() % 4) {
          case 0:
            decoder.pop_integer();
            break;
          case 1:
            decoder.pop_bits(static_cast<int>(random() % 65));
            break;
          case 2:
            decoder.pop_escaped(table);
            break;
          default:
            ASSERT_LT(decoder.pop(table), 300U);
        }
      }
      decoder.finish();
    } catch (const DataError&) {
      ++refused;
    }
  }
  EXPECT_EQ(refused, 5000);  // 40 bytes can't hold 300 of these
}

TEST(Rans, HostileStatesAndIntegersAreNamed) {
  const std::string remedy = "; the stream is damaged, or this isn't the model that it was coded with";
  const auto refused_at_start = [](const std::vector<uint8_t>& bytes) {
    return message_of<DataError>([&] { RansDecoder(bytes, 8, "codes"); });
  };
  EXPECT_EQ(refused_at_start(std::vector<uint8_t>(8, 255)),
            "codes: byte 0: no stream of codes begins with the state 18446744073709551615" + remedy);
  EXPECT_EQ(refused_at_start({255}), "codes: byte 0: no stream of codes begins with the state 255" + remedy);
  EXPECT_EQ(refused_at_start({0, 1, 0, 0, 0, 0, 0, 0, 0}),  // words follow, so it must have 32 bits
            "codes: byte 0: no stream of codes begins with the state 256" + remedy);

  RansEncoder encoder(16);
  for (int i = 0; i < 3; ++i) encoder.push_bits(0, 64);
  const auto zeros = encoder.finish();
  RansDecoder decoder(zeros, 16, "codes");
  EXPECT_THAT(message_of<DataError>([&] { decoder.pop_integer(); }),
              HasSubstr(": an integer here has more than 64 bits" + remedy));

  const auto table = uniform_frequencies(3, 16);
  encoder.push(table, 2);
  encoder.push_integer(std::numeric_limits<uint64_t>::max() - 1);
  const auto beyond = encoder.finish();
  RansDecoder escaped(beyond, 16, "codes");
  EXPECT_THAT(message_of<DataError>([&] { escaped.pop_escaped(table); }), HasSubstr(": an integer here has more than 64 bits"));
}

TEST(Rans, RefusesWrongUse) {
  RansEncoder encoder(8);
  EXPECT_EQ(message_of<UsageError>([] { RansEncoder(32); }), "rans: got max_bits 32, expected 0 to 31");
  EXPECT_EQ(message_of<UsageError>([&] { encoder.push({.start = 0, .frequency = 1}, 9); }),
            "rans: got frequencies of 9 bits, expected at most the coder's max_bits, 8");
  EXPECT_EQ(message_of<UsageError>([&] { encoder.push({.start = 250, .frequency = 7}, 8); }),
            "rans: got the interval of 7 from 250, expected at least 1 within 256");
  EXPECT_EQ(message_of<UsageError>([&] { encoder.push({.start = 250, .frequency = 0}, 8); }),
            "rans: got the interval of 0 from 250, expected at least 1 within 256");
  EXPECT_EQ(message_of<UsageError>([&] { encoder.push_bits(0, 65); }), "rans: got 65 raw bits, expected 0 to 64");
  EXPECT_EQ(message_of<UsageError>([&] { encoder.push_integer(std::numeric_limits<uint64_t>::max()); }),
            "rans: got 18446744073709551615, expected an integer below it");
  EXPECT_EQ(message_of<UsageError>([&] { RansEncoder(0).push_bits(1, 1); }),
            "rans: a coder with max_bits 0 codes no raw bits; give it more");
  EXPECT_TRUE(encoder.finish().empty());
  RansDecoder decoder({}, 8, "codes");
  EXPECT_EQ(message_of<UsageError>([&] { decoder.drop({.start = 1, .frequency = 3}, 8); }),
            "rans: the slot 0 isn't in the interval of 3 from 1");
}

}  // namespace
}  // namespace rans_test
