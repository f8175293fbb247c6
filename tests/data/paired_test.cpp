#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "data/files.h"
#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/data/paired_set.h"
#include "elbo/io/jpeg.h"
#include "support/tensors.h"

namespace elbo {
namespace paired_test {
namespace {

using namespace data_test;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kColumns =
    "columns: [{name: photo, type: image, size: 4}, {name: wave, type: array}, {name: age, type: number}, "
    "{name: kind, type: category}]";

Image plain(int grey) {
  return {.width = 4, .height = 4, .channels = 1, .pixels = std::vector<uint8_t>(16, static_cast<uint8_t>(grey))};
}

void write_wave(const std::filesystem::path& path, double value) {
  std::filesystem::create_directories(path.parent_path());
  const auto wave = torch::full({3, 2}, value, torch::kFloat);
  write_npy(path, view_of(wave));
}

/// Thirty things; every third lacks its photo, every fifth its wave, every seventh its age, the first its kind.
std::string things(const std::filesystem::path& folder) {
  std::string csv = "kind,photo,age,wave,note\n";
  for (int i = 0; i < 30; ++i) {
    const std::string photo = text("photos/", i, ".png"), wave = text("waves/", i, ".npy");
    if (i % 3) write_file(folder / photo, encode_png(plain(8 * i)));
    if (i % 5) write_wave(folder / wave, i);
    csv += text(i == 0  ? ""
                : i % 2 ? "odd"
                        : "even",
                ",", i % 3 ? photo : "", ",",
                i % 7 ? std::to_string(i)
                : i   ? "?"
                      : "0",
                ",", i % 5 ? wave : "", ",x\n");
  }
  return csv;
}

std::shared_ptr<Dataset> paired(const std::filesystem::path& root, const std::string& options) {
  const auto dataset = from_yaml("{type: paired, path: sub/a.csv, " + options + "}", {.root = root, .seed = 1});
  dataset->load(at::kCPU);
  return dataset;
}

Batch rows(const Dataset& dataset, Split split) {
  Stream stream(1, "data", at::kCPU);
  return dataset.gather(split, all_rows(dataset, split), stream);
}

TEST(Paired, EveryColumnIsAFieldAndGapsAreMasked) {
  Folder folder;
  write_file(folder.path() / "sub/a.csv", things(folder.path() / "sub"));
  const auto dataset = paired(folder.path(), "gaps: ['', '?'], " + kColumns);
  const auto& spec = dataset->spec();
  ASSERT_EQ(spec.size(), 4u);
  EXPECT_EQ(spec.at("photo").shape, (Shape{3, 4, 4}));
  EXPECT_EQ(spec.at("photo").levels, 256);
  EXPECT_EQ(spec.at("wave").shape, (Shape{3, 2}));
  EXPECT_EQ(spec.at("wave").kind, ValueKind::real);
  EXPECT_EQ(spec.at("age").shape, (Shape{1}));
  EXPECT_EQ(spec.at("kind").num_classes, 2);
  EXPECT_THAT(spec.at("kind").columns.at(0).classes, ElementsAre("even", "odd"));
  for (const auto& [name, field] : spec) EXPECT_TRUE(field.may_be_missing) << name;
  const auto& age = spec.at("age").columns.at(0);
  int64_t num_rows = 0;
  double sum = 0, count = 0;
  for (const Split split : {Split::train, Split::valid, Split::test}) {
    const auto batch = rows(*dataset, split);
    const auto has = [&](const char* name, int64_t row) {
      const auto& present = batch.fields.at(name).present;
      return !present.defined() || present[row].item<bool>();  // undefined where a split has all
    };
    for (int64_t row = 0; row < dataset->size(split); ++row, ++num_rows) {
      const double photo = batch.at("photo")[row].mean().item<double>() * 255 / 8,
                   wave = batch.at("wave")[row].mean().item<double>();
      const double years = batch.at("age")[row][0].item<double>();
      const bool is_first = !has("photo", row) && !has("wave", row) && !has("kind", row);
      const int i = is_first            ? 0
                    : has("photo", row) ? static_cast<int>(std::lround(photo))
                    : has("wave", row)  ? static_cast<int>(std::lround(wave))
                                        : 15;  // the only other row without both
      EXPECT_EQ(has("photo", row), i % 3 != 0) << i;
      EXPECT_EQ(has("wave", row), i % 5 != 0) << i;
      EXPECT_EQ(has("age", row), i % 7 != 0 || i == 0) << i;
      EXPECT_EQ(has("kind", row), i != 0) << i;
      if (!has("photo", row)) {
        EXPECT_EQ(photo, 0);
      }
      if (!has("wave", row)) {
        EXPECT_EQ(wave, 0);
      }
      if (has("age", row)) {
        EXPECT_NEAR(years * age.scale + age.mean, i, 1e-4);
        if (split == Split::train) sum += years, ++count;
      } else {
        EXPECT_EQ(years, 0);
      }
      EXPECT_EQ(batch.at("kind")[row].item<int64_t>(), i % 2) << i;
    }
  }
  EXPECT_EQ(num_rows, 30);
  EXPECT_NEAR(sum / count, 0, 1e-5);
}

TEST(Paired, ASplitColumnDecidesAndPatternsComeOnTop) {
  Folder folder;
  std::string csv = "a;b;part\n";
  for (int i = 0; i < 40; ++i) csv += text(i, ";", i % 4, ";", i < 5 ? "test" : i < 8 ? "valid" : "train", "\n");
  write_file(folder.path() / "sub/a.csv", csv);
  const auto dataset = paired(folder.path(),
                              "separator: ';', split_column: part, missing: {rate: 0.5}, "
                              "columns: [{name: a, type: number, standardise: false}, {name: b, type: category}]");
  EXPECT_EQ(dataset->size(Split::train), 32);
  const auto test = rows(*dataset, Split::test), train = rows(*dataset, Split::train);
  const auto& a = test.fields.at("a");
  expect_equal(a.value.select(1, 0), torch::arange(5).to(torch::kFloat) * a.present);
  EXPECT_TRUE(train.fields.at("a").present.logical_or(train.fields.at("b").present).all().item<bool>());
  EXPECT_FALSE(train.fields.at("a").present.all().item<bool>());
}

TEST(Paired, KeepsBytesOfArraysAndAnotherFolder) {
  Folder folder;
  std::string csv = "mask\n";
  for (int i = 0; i < 10; ++i) {
    const auto mask = torch::full({2, 3}, 10 * i, torch::kByte);
    std::filesystem::create_directories(folder.path() / "files");
    write_npy(folder.path() / "files" / text(i, ".npy"), view_of(mask));
    csv += text(i, ".npy\n");
  }
  write_file(folder.path() / "sub/a.csv", csv);
  const auto dataset = paired(folder.path(), "folder: files, columns: [{name: mask, type: array}]");
  EXPECT_EQ(dataset->spec().at("mask").kind, ValueKind::unit);
  EXPECT_EQ(dataset->spec().at("mask").levels, 256);
  const auto mask = whole(*dataset, Split::train, "mask").mul(25.5).round();
  expect_close(std::get<0>(mask.select(1, 0).select(1, 0).sort()).diff().ge(1).all(), 1.0);
  EXPECT_EQ(paired(folder.path(), "folder: files, columns: [{name: mask, type: array, values: real}]")->spec().at("mask").kind,
            ValueKind::real);
}

TEST(Paired, HostileManifestsAreDataErrorsWithTheirLine) {
  struct Case {
    const char* what;
    const char* line;  // the third
    const char* message;
  };
  const Case cases[] = {
      {"no such file", "photos/9.png,,1,a", "sub/a.csv: line 3, column 1 ('photo'): "},
      {"a folder", "photos,,1,a", "sub/photos: no such file"},
      {"climbs out", "../../../etc/passwd,,1,a", "line 3, column 1 ('photo'): '../../../etc/passwd' leads out of "},
      {"climbs out in the middle", "photos/../../x.png,,1,a", "leads out of "},
      {"absolute", "/etc/passwd,,1,a", "'/etc/passwd' leads out of "},
      {"no image", "bad.png,,1,a", "sub/a.csv: line 3, column 1 ('photo'): "},
      {"no array", "photos/1.png,bad.png,1,a", "sub/a.csv: line 3, column 2 ('wave'): "},
      {"other extents", "photos/1.png,wide.npy,1,a", "line 3, column 2 ('wave'): "},
      {"infinite", "photos/1.png,inf.npy,1,a", "inf.npy: other numbers than finite ones"},
      {"no number", "photos/1.png,,ten,a", "line 3, column 3 ('age'): 'ten' is no finite number; if it stands for nothing"},
      {"nothing", ",,,", "sub/a.csv: line 3: every column is a gap; leave the line out"},
      {"too short", "photos/1.png,,1", "line 3, column 4 ('kind'): the row ends here"},
  };
  for (const auto& hostile : cases) {
    SCOPED_TRACE(hostile.what);
    Folder folder;
    const auto sub = folder.path() / "sub";
    write_file(sub / "photos/1.png", encode_png(plain(1)));
    write_file(sub / "bad.png", "not an image");
    write_wave(sub / "w.npy", 1);
    write_wave(sub / "inf.npy", INFINITY);
    const auto wide = torch::zeros({3, 3}, torch::kFloat);
    write_npy(sub / "wide.npy", view_of(wide));
    std::string csv = text("photo,wave,age,kind\nphotos/1.png,w.npy,1,a\n", hostile.line, "\n");
    for (int i = 0; i < 20; ++i) csv += "photos/1.png,w.npy,2,b\n";
    write_file(sub / "a.csv", csv);
    try {
      paired(folder.path(), kColumns);
      ADD_FAILURE() << "was accepted";
    } catch (const DataError& error) {
      EXPECT_THAT(error.what(), HasSubstr(hostile.message));
    }
  }
}

TEST(Paired, SettingsThatContradictTheManifestAreRefused) {
  Folder folder;
  write_file(folder.path() / "sub/a.csv", "a,b\n1,\n2,\n3,\n4,\n");
  const auto refusal = [&](const std::string& options) {
    try {
      paired(folder.path(), options);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("was accepted");
  };
  EXPECT_THAT(refusal("columns: [{name: aa, type: number}]"), HasSubstr("a.csv: line 1: no column 'aa'"));
  EXPECT_THAT(refusal("columns: [{name: a, type: number}, {name: b, type: number}]"),
              HasSubstr("column 'b': a gap in every training row; leave the column out"));
  EXPECT_THAT(refusal("columns: [{name: a, type: number}], split_column: b"),
              HasSubstr("line 2, column 2 ('b'): '' is no split"));
  EXPECT_THAT(refusal("columns: [{name: a, type: number}, {name: a, type: category}]"), HasSubstr("'a' is named twice"));
  EXPECT_THAT(refusal("columns: [{name: a, type: number}], split_column: a"), HasSubstr("'a' says the split"));
  EXPECT_THAT(refusal("columns: [{name: a}]"), HasSubstr("type"));
  write_file(folder.path() / "sub/a.csv", "a\n1\n2\n");
  EXPECT_THAT(refusal("columns: [{name: a, type: number}]"), HasSubstr("only 2 rows to train on: too few to split"));
}

}  // namespace
}  // namespace paired_test
}  // namespace elbo
