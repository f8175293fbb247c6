#include "elbo/config/problems.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "elbo/base/error.h"

namespace problems_test {
namespace {
using namespace elbo;

TEST(Problems, AreListedInTheOrderOfTheFileThenOfTheCommandLine) {
  Problems problems;
  problems.add({.file = "--set b=1", .order = 2}, "b", "wrong");
  problems.add({.file = "a.yaml", .line = 13}, "objective.estimator", "got 'dregs', expected standard, stl or dreg");
  problems.add({.file = "--set a=1", .order = 1}, "a", "wrong");
  problems.add({.file = "a.yaml", .line = 2}, "", "first");
  problems.add({.file = "a.yaml", .line = 13}, "z", "keeps its turn");
  EXPECT_EQ(problems.report(),
            "a.yaml:2: first\n"
            "a.yaml:13: objective.estimator: got 'dregs', expected standard, stl or dreg\n"
            "a.yaml:13: z: keeps its turn\n"
            "--set a=1: a: wrong\n"
            "--set b=1: b: wrong\n"
            "5 problems; nothing was run.");
  EXPECT_THROW(problems.throw_if_any(), ConfigError);
}

TEST(Problems, NoneIsFine) { EXPECT_NO_THROW(Problems().throw_if_any()); }

TEST(Problems, ThousandsAreCutToAFew) {
  Problems problems;
  for (int i = 0; i < 3000; ++i) problems.add({.file = "a", .line = 1}, "k", "w");
  EXPECT_THAT(problems.report(), testing::EndsWith("a:1: k: w\n… and 2,950 more\n3,000 problems; nothing was run."));
}

TEST(Problems, PlacesWithoutAFileAreLeftOut) {
  Problems problems;
  problems.add({}, "training.epochs", "must be >= 1, got 0");
  EXPECT_EQ(problems.report(), "training.epochs: must be >= 1, got 0\n1 problem; nothing was run.");
  EXPECT_EQ((Problem{.what = "bare"}.str()), "bare");
}

TEST(Problems, PathsQuoteOddKeys) {
  EXPECT_EQ(detail::child_path("", "a"), "a");
  EXPECT_EQ(detail::child_path("a", "b"), "a.b");
  EXPECT_EQ(detail::child_path("a", "b.c"), "a.'b.c'");
  EXPECT_EQ(detail::child_path("a", ""), "a.''");
  EXPECT_EQ(detail::child_path("a", "x\ny"), "a.'x\\ny'");
}

}  // namespace
}  // namespace problems_test
