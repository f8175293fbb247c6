#include "elbo/base/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>

namespace text_test {
namespace {
using namespace elbo;
using Words = std::vector<std::string>;

TEST(Text, JoinsAndListsAlternatives) {
  EXPECT_EQ(text("a", 1, 'b', 2.5), "a1b2.5");
  EXPECT_EQ(join(Words{"a", "b", "c"}, ", "), "a, b, c");
  EXPECT_EQ(join(Words{}, ", "), "");
  EXPECT_EQ(alternatives(Words{"standard", "stl", "dreg"}), "standard, stl or dreg");
  EXPECT_EQ(alternatives(Words{"a", "b"}), "a or b");
  EXPECT_EQ(alternatives(Words{"a"}), "a");
  EXPECT_EQ(alternatives(Words{}), "");
}

TEST(Text, TrimsAndSplits) {
  EXPECT_EQ(trim(" \t a b \r\n"), "a b");
  EXPECT_EQ(trim(" \n "), "");
  EXPECT_EQ(split("a.b..c", '.'), (Words{"a", "b", "", "c"}));
  EXPECT_EQ(split("", '.'), (Words{""}));
  EXPECT_EQ(split("a.", '.'), (Words{"a", ""}));
}

TEST(Text, EditDistanceCountsSwapsAsOne) {
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3);
  EXPECT_EQ(edit_distance("sampels", "samples"), 1);
  EXPECT_EQ(edit_distance("", "abc"), 3);
  EXPECT_EQ(edit_distance("abc", ""), 3);
  EXPECT_EQ(edit_distance("same", "same"), 0);
}

TEST(Text, NearestIsWhatATypistMeant) {
  const Words known = {"samples", "estimator", "beta"};
  EXPECT_EQ(nearest("sampels", known), "samples");
  EXPECT_EQ(nearest("estimater", known), "estimator");
  EXPECT_EQ(nearest("bta", known), "beta");
  EXPECT_EQ(nearest("gamma", known), std::nullopt);
  EXPECT_EQ(nearest("", known), std::nullopt);
  EXPECT_EQ(nearest("x", Words{"y"}), std::nullopt);  // one letter resembles every other
  EXPECT_EQ(nearest(std::string(1 << 20, 'a'), known), std::nullopt);
  EXPECT_EQ(did_you_mean("sampels", known), ", did you mean 'samples'?");
  EXPECT_EQ(did_you_mean("quux", known), "");
  EXPECT_EQ(did_you_mean("sampels", known, "it has a, b"), ", did you mean 'samples'? It has a, b");
  EXPECT_EQ(did_you_mean("quux", known, "it has a, b"), "; it has a, b");
}

TEST(Text, QuotesForMessages) {
  EXPECT_EQ(in_quotes("a b"), "'a b'");
  EXPECT_EQ(in_quotes("a\n\t\x1b"), "'a\\n\\t\\x1b'");
  const std::string shown = in_quotes(std::string(5000, 'a'));
  EXPECT_EQ(shown, "'" + std::string(80, 'a') + "…' (5,000 bytes)");
  std::string umlauts;
  for (int i = 0; i < 100; ++i) umlauts += "ä";
  EXPECT_EQ(find_invalid_utf8(in_quotes("x" + umlauts)), std::nullopt);  // never cut inside a character
}

TEST(Text, ShortestReadsBack) {
  EXPECT_EQ(shortest(0.1), "0.1");
  EXPECT_EQ(shortest(50), "50");
  EXPECT_EQ(shortest(1e-5), "1e-05");
  for (const double value : {1.0 / 3, 1e300, 5e-324, 123456789.123456789, -2.5e-7})
    EXPECT_EQ(std::strtod(shortest(value).c_str(), nullptr), value);
}

TEST(Text, HumanNumbers) {
  EXPECT_EQ(with_commas(0), "0");
  EXPECT_EQ(with_commas(999), "999");
  EXPECT_EQ(with_commas(1000), "1,000");
  EXPECT_EQ(with_commas(-1234567), "-1,234,567");
  EXPECT_EQ(with_commas(-123456), "-123,456");
  EXPECT_EQ(with_commas(std::numeric_limits<int64_t>::min()), "-9,223,372,036,854,775,808");
  EXPECT_EQ(count_of(1, "problem"), "1 problem");
  EXPECT_EQ(count_of(2000, "problem"), "2,000 problems");
}

TEST(Text, Durations) {
  EXPECT_EQ(duration(9), "0:09");
  EXPECT_EQ(duration(751), "12:31");
  EXPECT_EQ(duration(59.6), "1:00");
  EXPECT_EQ(duration(3723), "1:02:03");
  EXPECT_EQ(duration(2 * 86400 + 3 * 3600 + 4 * 60 + 5), "2d 3:04:05");
  EXPECT_EQ(duration(-3), "0:00");
  EXPECT_EQ(duration(std::numeric_limits<double>::infinity()), "?");
  EXPECT_EQ(duration(std::nan("")), "?");
}

TEST(Text, FindsInvalidUtf8) {
  EXPECT_EQ(find_invalid_utf8("plain ä € 𝄞"), std::nullopt);
  EXPECT_EQ(find_invalid_utf8("ab\xff"), 2U);
  EXPECT_EQ(find_invalid_utf8("a\xc3"), 1U);             // cut off
  EXPECT_EQ(find_invalid_utf8("\xc0\xaf"), 0U);          // overlong '/'
  EXPECT_EQ(find_invalid_utf8("\xed\xa0\x80"), 0U);      // surrogate
  EXPECT_EQ(find_invalid_utf8("\xf4\x90\x80\x80"), 0U);  // beyond U+10FFFF
  EXPECT_EQ(find_invalid_utf8("\x80"), 0U);
  EXPECT_EQ(find_invalid_utf8("\xf8\x88\x80\x80\x80"), 0U);
}

TEST(Text, WidthIgnoresColoursAndCountsCharacters) {
  EXPECT_EQ(display_width("\x1b[36m━━\x1b[0m ab"), 5);
  EXPECT_EQ(display_width("…"), 1);
  EXPECT_EQ(display_width("\x1b[36"), 0);
}

}  // namespace
}  // namespace text_test
