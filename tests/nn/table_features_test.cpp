#include "elbo/nn/table_features.h"

#include "elbo/base/error.h"
#include "support/tensors.h"

namespace elbo::table_features_test {
namespace {

std::vector<Column> columns() {
  return {{.name = "age"},
          {.name = "colour", .kind = ColumnKind::category, .classes = {"red", "green", "blue"}},
          {.name = "visits", .kind = ColumnKind::count},
          {.name = "size"}};
}

TEST(TableFeatures, NumbersCountsClassesThenWhatIsMissing) {
  TableFeatures features(columns());
  ASSERT_EQ(features.size(), 2 + 1 + 3 + 4);
  const auto value = torch::tensor({0.5F, 2.F, 7.F, -1.5F, 9.F, 0.F, 0.F, 3.F}).view({2, 4});
  const auto valid = torch::tensor({1, 1, 1, 1, 0, 0, 0, 1}).to(torch::kBool).view({2, 4});
  expect_close(features(value, valid), values({0.5, -1.5, std::log(8.0),
                                               0,   0,    1,
                                               0,   0,    0,
                                               0,  //
                                               0,   3,    0,
                                               0,   0,    0,
                                               1,   1,    1,
                                               0},
                                              {2, 10}));
  expect_close(features(value, {})[1], values({9, 3, 0, 1, 0, 0, 0, 0, 0, 0}));
}

TEST(TableFeatures, WhatStandsInAMissingCellHasNoInfluence) {
  TableFeatures features(columns());
  const auto valid = torch::tensor({0, 0, 0, 1}).to(torch::kBool).view({1, 4});
  const auto plain = features(torch::tensor({{0.F, 0.F, 0.F, 2.F}}), valid);
  for (const float anything : {NAN, 1e30F, -5.F, 1.F}) {
    expect_equal(features(torch::tensor({{anything, anything, anything, 2.F}}), valid), plain);
  }
}

TEST(TableFeatures, RefuseTablesOfNothing) {
  EXPECT_THROW(TableFeatures({}), ConfigError);
  EXPECT_THROW(TableFeatures({{.name = "colour", .kind = ColumnKind::category}}), ConfigError);
  TableFeatures features(columns());
  EXPECT_THROW(features(torch::zeros({2, 3}), {}), ShapeError);
}

}  // namespace
}  // namespace elbo::table_features_test
