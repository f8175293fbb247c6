#include "elbo/config/range.h"

#include <gtest/gtest.h>

#include <cmath>

namespace range_test {
namespace {
using namespace elbo;

TEST(Range, ContainsItsClosedEndsOnly) {
  EXPECT_TRUE(at_least(1).contains(1));
  EXPECT_FALSE(at_least(1).contains(0.999));
  EXPECT_FALSE(more_than(0).contains(0));
  EXPECT_TRUE(more_than(0).contains(5e-324));
  EXPECT_TRUE(at_most(2).contains(2));
  EXPECT_FALSE(below(2).contains(2));
  EXPECT_TRUE(between(0, 1).contains(0));
  EXPECT_TRUE(between(0, 1).contains(1));
  EXPECT_FALSE(between(0, 1).contains(1.1));
  EXPECT_FALSE(more_than(0).below(1).contains(1));
  EXPECT_FALSE(more_than(0).below(1).contains(0));
  EXPECT_TRUE(any().contains(-1e308));
  EXPECT_FALSE(any().contains(std::nan("")));
}

TEST(Range, IsSaidInFewSigns) {
  EXPECT_EQ(at_least(1).str(), ">= 1");
  EXPECT_EQ(more_than(0).str(), "> 0");
  EXPECT_EQ(at_most(0.5).str(), "<= 0.5");
  EXPECT_EQ(below(3).str(), "< 3");
  EXPECT_EQ(between(0, 1).str(), "in [0, 1]");
  EXPECT_EQ(at_least(0).below(1).str(), "in [0, 1)");
  EXPECT_EQ(more_than(0).at_most(1).str(), "in (0, 1]");
  EXPECT_EQ(any().str(), "");
  EXPECT_EQ(range_problem(more_than(0), -1, "-1"), "must be > 0, got -1");
  EXPECT_EQ(range_problem(more_than(0), 1, "1"), std::nullopt);
}

TEST(Range, LengthsAreSaid) {
  EXPECT_EQ(non_empty.str(), "at least 1");
  EXPECT_EQ(length_exactly(2).str(), "exactly 2");
  EXPECT_EQ(length_between(1, 3).str(), "1 to 3");
  EXPECT_EQ(length_between(0, 3).str(), "at most 3");
  EXPECT_TRUE(length_between(1, 3).contains(3));
  EXPECT_FALSE(length_between(1, 3).contains(4));
  EXPECT_FALSE(length_at_least(1).contains(0));
}

}  // namespace
}  // namespace range_test
