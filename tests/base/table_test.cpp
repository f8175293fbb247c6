#include "elbo/base/table.h"

#include <gtest/gtest.h>

#include "elbo/base/error.h"

namespace table_test {
namespace {
using namespace elbo;

TEST(Table, AlignsByDisplayedWidth) {
  Table table({{"name"}, {"bound", Align::right}, {"note"}});
  table.row({"vae", "-232.41", ""}).row({"β-vae", "-240", "β = 4"});
  EXPECT_EQ(table.str(),
            "name     bound  note\n"
            "─────  ───────  ─────\n"
            "vae    -232.41\n"
            "β-vae     -240  β = 4\n");
}

TEST(Table, RefusesARowOfAnotherLength) {
  Table table({{"a"}, {"b"}});
  EXPECT_THROW(table.row({"x"}), UsageError);
  EXPECT_EQ(table.str(), "a  b\n─  ─\n");
}

}  // namespace
}  // namespace table_test
