#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "data/files.h"
#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/config/dump.h"
#include "elbo/data/table_set.h"
#include "support/tensors.h"

namespace elbo {
namespace table_test {
namespace {

using namespace data_test;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kColumns = "columns: [{name: age}, {name: job, type: category}, {name: visits, type: count}]";

/// Forty people; every fifth age, every seventh job and every ninth count is missing.
std::string people() {
  std::string csv = "name,visits,age,job,sex\r\n";
  for (int i = 0; i < 40; ++i) {
    csv += text("\"p, ", i, "\",", i % 9 == 8 ? "" : std::to_string(i % 4), ",", i % 5 == 4 ? "NA" : text(20 + i, ".5"), ",",
                i % 7 == 6 ? "NaN" : std::array{"smith", "nurse", "cook"}[static_cast<size_t>(i % 3)], ",", i % 2 ? "m" : "f",
                "\r\n");
  }
  return csv;
}

std::shared_ptr<Dataset> table(const std::filesystem::path& root, const std::string& options, uint64_t seed = 1) {
  const auto dataset = from_yaml("{type: table, " + options + "}", {.root = root, .seed = seed});
  dataset->load(at::kCPU);
  return dataset;
}

Field x_of(const Dataset& dataset, Split split, const std::string& name = "x") {
  Stream stream(1, "data", at::kCPU);
  return dataset.gather(split, all_rows(dataset, split), stream).fields.at(name);
}

TEST(Table, StandardisesNumbersNamesClassesAndMasksMissingCells) {
  Folder folder;
  write_file(folder.path() / "people.csv", people());
  const auto dataset = table(folder.path(), "path: people.csv, " + kColumns);
  const auto& x = dataset->spec().at("x");
  EXPECT_EQ(x.kind, ValueKind::table);
  EXPECT_EQ(x.shape, (Shape{3}));
  ASSERT_EQ(x.columns.size(), 3u);
  EXPECT_EQ(x.columns[0].name, "age");
  EXPECT_EQ(x.columns[0].kind, ColumnKind::number);
  EXPECT_EQ(x.columns[1].kind, ColumnKind::category);
  EXPECT_THAT(x.columns[1].classes, ElementsAre("cook", "nurse", "smith"));
  EXPECT_EQ(x.columns[2].kind, ColumnKind::count);
  EXPECT_EQ(dataset->size(Split::train), 32);
  EXPECT_EQ(dataset->size(Split::valid), 4);

  int64_t num_rows = 0, num_missing = 0;
  std::vector<double> ages;  // of the training rows
  for (const Split split : {Split::train, Split::valid, Split::test}) {
    const auto field = x_of(*dataset, split);
    EXPECT_EQ(field.value.scalar_type(), at::kFloat);
    EXPECT_EQ(field.valid.scalar_type(), at::kBool);
    expect_equal(field.value.masked_select(field.valid.logical_not()),
                 torch::zeros({field.valid.logical_not().sum().item<int64_t>()}));
    for (int64_t row = 0; row < dataset->size(split); ++row, ++num_rows) {
      const auto number = [&](int64_t column) { return field.value[row][column].item<double>(); };
      const auto there = [&](int64_t column) { return field.valid[row][column].item<bool>(); };
      for (int64_t column = 0; column < 3; ++column) num_missing += there(column) ? 0 : 1;
      if (!there(0)) continue;
      const double age = number(0) * x.columns[0].scale + x.columns[0].mean;
      const int i = static_cast<int>(std::lround(age - 20.5));
      EXPECT_NEAR(age, 20.5 + i, 1e-4);
      EXPECT_NE(i % 5, 4);
      EXPECT_EQ(there(1), i % 7 != 6);
      EXPECT_EQ(there(2), i % 9 != 8);
      if (there(1)) {
        EXPECT_EQ(number(1), 2 - i % 3);
      }
      if (there(2)) {
        EXPECT_EQ(number(2), i % 4);
      }
      if (split == Split::train) ages.push_back(20.5 + i);
    }
  }
  EXPECT_EQ(num_rows, 40);
  EXPECT_EQ(num_missing, 8 + 5 + 4);
  const auto seen = torch::tensor(ages, at::kDouble);
  EXPECT_NEAR(x.columns[0].mean, seen.mean().item<double>(), 1e-9);
  EXPECT_NEAR(x.columns[0].scale, seen.std(false).item<double>(), 1e-9);
  EXPECT_NEAR(dataset->training_mean()[0].item<double>(), 0, 1e-6);
}

TEST(Table, ALabelIsKeptOutOfX) {
  Folder folder;
  write_file(folder.path() / "people.csv", people());
  const auto dataset = table(folder.path(), "path: people.csv, label: sex, " + kColumns);
  EXPECT_EQ(dataset->spec().at("x").shape, (Shape{3}));
  EXPECT_EQ(dataset->spec().at("label").num_classes, 2);
  const auto field = x_of(*dataset, Split::train);
  const auto& age = dataset->spec().at("x").columns[0];
  const auto label = x_of(*dataset, Split::train, "label").value;
  for (int64_t row = 0; row < 32; ++row) {
    if (!field.valid[row][0].item<bool>()) continue;
    const auto i = std::lround(field.value[row][0].item<double>() * age.scale + age.mean - 20.5);
    EXPECT_EQ(label[row].item<int64_t>(), i % 2);
  }
}

TEST(Table, HidesCellsBySeedAndKeepsTheirTruthApart) {
  Folder folder;
  std::string csv = "a,b\n";
  for (int i = 0; i < 1000; ++i) csv += text(i, ",", i % 10 == 0 ? "" : std::to_string(i * i % 17), "\n");
  write_file(folder.path() / "a.csv", csv);
  const std::string options = "path: a.csv, columns: [{name: a}, {name: b, type: count}], missing_rate: 0.3";
  const auto dataset = table(folder.path(), options), again = table(folder.path(), options),
             other = table(folder.path(), options, 2);
  const auto x = x_of(*dataset, Split::train), hidden = x_of(*dataset, Split::train, "hidden");
  EXPECT_NEAR(hidden.valid.select(1, 0).to(at::kFloat).mean().item<float>(), 0.3, 0.06);
  EXPECT_FALSE(x.valid.logical_and(hidden.valid).any().item<bool>());
  EXPECT_TRUE(x.valid.select(1, 0).logical_or(hidden.valid.select(1, 0)).all().item<bool>());
  EXPECT_FALSE(
      x.valid.select(1, 1).logical_or(hidden.valid.select(1, 1)).all().item<bool>());  // a cell that isn't there has no truth
  const auto& a = dataset->spec().at("x").columns[0];
  const auto value = torch::where(x.valid, x.value, hidden.value).select(1, 0).to(at::kDouble) * a.scale + a.mean;
  EXPECT_TRUE((value - value.round()).abs().lt(1e-2).all().item<bool>());
  EXPECT_NEAR(a.mean, (x.value.select(1, 0) * x.valid.select(1, 0)).sum().item<double>() + a.mean,
              1e-2);  // of what is seen alone
  EXPECT_TRUE(x.value.equal(x_of(*again, Split::train).value));
  EXPECT_EQ(dataset->fingerprint(), again->fingerprint());
  EXPECT_NE(dataset->fingerprint(), other->fingerprint());
  EXPECT_FALSE(table(folder.path(), "path: a.csv, columns: [{name: a}]")->spec().contains("hidden"));
}

TEST(Table, AnArrayIsReadByPosition) {
  Folder folder;
  auto x = torch::empty({12, 4}, at::kDouble);
  for (int64_t i = 0; i < 12; ++i) {
    x[i][0] = 3.0 * static_cast<double>(i);
    x[i][1] = static_cast<double>(i % 3 * 5 - 5);  // classes -5, 0, 5
    x[i][2] = static_cast<double>(i % 4);
    x[i][3] = 99;
  }
  x[2][1] = NAN;
  const auto contiguous = x.contiguous();
  write_npy(folder.path() / "a.npy", view_of(contiguous));
  write_npz(folder.path() / "a.npz", {{"rows", view_of(contiguous)}});
  const std::string columns =
      "columns: [{name: size}, {name: kind, type: category}, {name: colour, type: category}, {name: noise, type: ignore}], "
      "label: colour";
  for (const std::string file : {"path: a.npy, ", "path: a.npz, array: rows, "}) {
    const auto dataset = table(folder.path(), file + columns);
    const auto& spec = dataset->spec().at("x");
    ASSERT_EQ(spec.columns.size(), 2u);
    EXPECT_THAT(spec.columns[1].classes, ElementsAre("-5", "0", "5"));
    EXPECT_EQ(dataset->spec().at("label").num_classes, 4);
    const auto field = x_of(*dataset, Split::train);
    for (int64_t row = 0; row < field.value.size(0); ++row) {
      const auto i = std::lround((field.value[row][0].item<double>() * spec.columns[0].scale + spec.columns[0].mean) / 3);
      EXPECT_EQ(field.valid[row][1].item<bool>(), i != 2);
      if (i != 2) {
        EXPECT_EQ(field.value[row][1].item<int64_t>(), i % 3);
      }
      EXPECT_EQ(x_of(*dataset, Split::train, "label").value[row].item<int64_t>(), i % 4);
    }
  }
}

TEST(Table, TheConfigIsDumpedAndReadAgain) {
  const TableConfig config = {.path = "a b.csv",
                              .columns = {{.name = "NA", .type = TableColumnType::count}, {.name = "1: 2"}},
                              .label = "yes",
                              .missing = {"", "NaN", "~", "-", "null", "0"},
                              .separator = "\t"};
  const auto again = read_config<TableConfig>(parse_yaml(to_yaml(dump_config(config)), "a.yaml"));
  EXPECT_TRUE(same_config(again, config));
  EXPECT_EQ(again.missing, config.missing);
  EXPECT_EQ(again.separator, config.separator);
}

TEST(Table, MissingTextsAndSeparatorAreTheUsers) {
  Folder folder;
  write_file(folder.path() / "a.csv", "a;b\n?; x\n1,5;y\n2;x\n3;y\n");
  EXPECT_EQ(from_yaml("{type: table, path: a.csv, separator: ';', missing: ['?', '1,5'], columns: [{name: a}]}",
                      {.root = folder.path()})
                ->spec()
                .at("x")
                .columns.size(),
            1u);
}

struct Hostile {
  const char* what;
  const char* csv;
  const char* options;
  const char* message;
};

TEST(Table, HostileFilesAreDataErrorsWithTheirPlace) {
  const std::string a = "columns: [{name: a}]";
  const Hostile cases[] = {
      {"no number", "a\n1\n2\nten\n4\n", "columns: [{name: a}]",
       "a.csv: line 4, column 1 ('a'): 'ten' is no finite number; if it stands"},
      {"infinite", "a\n1\n2\ninf\n4\n", "columns: [{name: a}]", "'inf' is no finite number"},
      {"too large", "a\n1\n2\n1e999\n4\n", "columns: [{name: a}]", "'1e999' is no finite number"},
      {"hex", "a\n1\n2\n0x10\n4\n", "columns: [{name: a}]", "'0x10' is no finite number"},
      {"negative count", "a\n1\n-2\n3\n4\n", "columns: [{name: a, type: count}]", "line 3, column 1 ('a'): '-2' is no count"},
      {"half a count", "a\n1\n2.5\n3\n4\n", "columns: [{name: a, type: count}]", "'2.5' is no count"},
      {"no such column", "age,b\n1,2\n3,4\n5,6\n", "columns: [{name: aga}]",
       "a.csv: line 1: no column 'aga', did you mean 'age'? It has age, b"},
      {"all missing", "a,b\n1,\n2,\n3,\n4,\n", "columns: [{name: a}, {name: b}]",
       "column 'b': every cell of the training rows is missing"},
      {"no label", "a,b\n1,x\n2,\n3,y\n", "columns: [{name: a}], label: b", "line 3, column 2 ('b'): the label is missing"},
      {"ragged", "a,b\n1,2\n3\n", "columns: [{name: a}]", "line 3, column 2 ('b'): the row ends here"},
      {"two rows", "a\n1\n2\n", "columns: [{name: a}]", "a.csv: only 2 rows: too few"},
      {"empty", "", "columns: [{name: a}]", "line 1, column 1: empty"},
      {"no file", nullptr, "columns: [{name: a}]", "a.csv: no such file; relative paths start at the data root"},
  };
  for (const auto& hostile : cases) {
    SCOPED_TRACE(hostile.what);
    Folder folder;
    if (hostile.csv) write_file(folder.path() / "a.csv", hostile.csv);
    try {
      table(folder.path(), std::string("path: a.csv, ") + hostile.options);
      ADD_FAILURE() << "was accepted";
    } catch (const DataError& error) {
      EXPECT_THAT(error.what(), HasSubstr(hostile.message));
    }
  }
  Folder folder;
  const auto x = torch::tensor({{1.0, 2.0}, {1.5, static_cast<double>(INFINITY)}, {3.0, 4.0}, {3.0, 4.0}}, at::kDouble);
  write_npy(folder.path() / "a.npy", view_of(x));
  const auto refusal = [&](const std::string& columns) {
    try {
      table(folder.path(), "path: a.npy, columns: " + columns);
    } catch (const DataError& error) {
      return std::string(error.what());
    }
    return std::string("was accepted");
  };
  EXPECT_THAT(refusal("[{name: a}]"), HasSubstr("a.npy: extents [4, 2], but data.columns names 1 column; [rows, 1] expected"));
  EXPECT_THAT(refusal("[{name: a}, {name: b}]"), HasSubstr("a.npy: row 1, column 2 ('b'): infinite"));
  EXPECT_THAT(refusal("[{name: a, type: category}, {name: b, type: ignore}]"),
              HasSubstr("row 1, column 1 ('a'): 1.5 is no class"));
}

TEST(Table, ColumnsThatContradictEachOtherAreConfigErrors) {
  const auto refusal = [](const std::string& options) {
    try {
      from_yaml("{type: table, path: a.csv, " + options + "}", {});
    } catch (const ConfigError& error) {
      return std::string(error.what());
    }
    return std::string("was accepted");
  };
  EXPECT_THAT(refusal("columns: [{name: a}, {name: a}]"), HasSubstr("columns[1].name: 'a' is named twice"));
  EXPECT_THAT(refusal("columns: [{name: a, type: count}, {name: b}], label: a"),
              HasSubstr("'a' is the label, whose type is category"));
  EXPECT_THAT(refusal("columns: [{name: a, type: ignore}]"), HasSubstr("leave no column for x"));
  EXPECT_THAT(refusal("columns: []"), HasSubstr("data.columns"));
  EXPECT_THAT(refusal("columns: [{name: a}], separator: ab"), HasSubstr("data.separator"));
}

}  // namespace
}  // namespace table_test
}  // namespace elbo
