#include "elbo/config/scalar.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace scalar_test {
namespace {
using namespace elbo;

TEST(Scalar, NumbersAreDecimal) {
  const std::pair<const char*, double> good[] = {{"0", 0},       {"-3", -3},   {"0.5", 0.5},     {".5", 0.5},     {"5.", 5},
                                                 {"1e-3", 1e-3}, {"1E3", 1e3}, {"+2.5", 2.5},    {"1e-05", 1e-5}, {"1e+3", 1000},
                                                 {"-.5e1", -5},  {"0.0", 0},   {"1e308", 1e308}, {"-0", 0}};
  for (const auto& [written, value] : good) EXPECT_EQ(parse_number(written).value, value) << written;
  EXPECT_FALSE(std::signbit(*parse_number("-0.0").value));
}

TEST(Scalar, RefusesWhatOtherReadersTakeForNumbers) {
  for (const char* written :
       {"",     " ",     "-",        "+",   ".",    "e5",    "1e",   "1e+",   "1.2.3", "1 ",     " 1",     "--1",
        "0x10", "0o10",  "0b1",      "010", "-07",  "00",    "01.5", "1_000", "1,000", "nan",    ".nan",   "NaN",
        "inf",  "-.inf", "Infinity", "1f",  "1.0f", "1e1.5", "yes",  "１",    "1e999", "-1e999", "1e-999", "12:30"}) {
    EXPECT_FALSE(parse_number(written).value) << written;
    EXPECT_FALSE(parse_integer(written).value) << written;
  }
  EXPECT_FALSE(parse_number(std::string(1'000'000, '9')).value);
  EXPECT_FALSE(parse_integer(std::string(1'000'000, '0')).value);
  EXPECT_FALSE(parse_number("1" + std::string(350, '0')).value);
}

TEST(Scalar, SaysWhy) {
  EXPECT_EQ(parse_number(".nan").hint, "it must be finite");
  EXPECT_EQ(parse_number("-inf").hint, "it must be finite");
  EXPECT_EQ(parse_integer("0x10").hint, "numbers are decimal here");
  EXPECT_EQ(parse_integer("010").hint, "leading zeros are refused, since some readers take them for octal");
  EXPECT_EQ(parse_integer("1_000").hint, "leave out the underscores");
  EXPECT_EQ(parse_number("1,000").hint, "leave out the commas");
  EXPECT_EQ(parse_number("1e999").hint, "it is beyond the range of a double");
  EXPECT_EQ(parse_integer("9223372036854775808").hint, "it is beyond the range of a 64-bit integer");
  EXPECT_EQ(parse_number("abc").hint, "");
}

TEST(Scalar, IntegersMayHaveExponentsWhereTheyAreWhole) {
  const std::pair<const char*, int64_t> good[] = {{"0", 0},
                                                  {"-0", 0},
                                                  {"50", 50},
                                                  {"+7", 7},
                                                  {"1e3", 1000},
                                                  {"1.5e3", 1500},
                                                  {"-2E2", -200},
                                                  {"100e-2", 1},
                                                  {"0e99999999999999999999", 0},
                                                  {"0.0e0", 0},
                                                  {"9223372036854775807", std::numeric_limits<int64_t>::max()},
                                                  {"-9223372036854775808", std::numeric_limits<int64_t>::min()},
                                                  {"1e18", 1'000'000'000'000'000'000}};
  for (const auto& [written, value] : good) EXPECT_EQ(parse_integer(written).value, value) << written;
  for (const char* written : {"1.5", "5.0", "1.55e1", "1e-1", "15e-1", "1e19", "9223372036854775808", "-9223372036854775809",
                              "1e999999999", "1e-99999999999999999999", "99999999999999999999e-1"}) {
    EXPECT_FALSE(parse_integer(written).value) << written;
  }
}

TEST(Scalar, KnowsWhatOtherReadersWouldTakeForSomethingElse) {
  for (const char* written : {"", "~", "null", "Null", "TRUE", "yes", "Off", "n", "12", "-1.5", "0x10", "010", "1e3", ".5",
                              ".nan", "-inf", "12:30", "1_000"}) {
    EXPECT_TRUE(looks_special(written)) << written;
  }
  for (const char* written : {"vae", "fashion_mnist/iwae", "a1", "best", "nullable", "not", "run-1", "3d_shapes"})
    EXPECT_FALSE(looks_special(written)) << written;
}

}  // namespace
}  // namespace scalar_test
