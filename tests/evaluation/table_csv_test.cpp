#include "elbo/evaluation/table_csv.h"

#include "elbo/base/error.h"
#include "support/tensors.h"

namespace elbo::table_csv_test {

const std::vector<Column>& columns() {
  static const std::vector<Column> all = {{.name = "age, years", .mean = 40, .scale = 12.5},
                                          {.name = "colour", .kind = ColumnKind::category, .classes = {"red", "\"blue\""}},
                                          {.name = "visits", .kind = ColumnKind::count}};
  return all;
}

TEST(TableCsv, PutsUnitsAndNamesBack) {
  EXPECT_EQ(table_csv(columns(), torch::tensor({0.1F, 1.F, 3.F, -2.F, 0.F, 0.25F}).view({2, 3})),
            "\"age, years\",colour,visits\n41.25,\"\"\"blue\"\"\",3\n15,red,0.25\n");
}

TEST(TableCsv, RefusesWhatIsNoClass) {
  for (const float value : {2.F, -1.F, NAN}) {
    EXPECT_THROW(table_csv(columns(), torch::tensor({{0.F, value, 0.F}})), DataError) << value;
  }
  EXPECT_THROW(table_csv(columns(), torch::zeros({2, 2})), ShapeError);
}

}  // namespace elbo::table_csv_test
