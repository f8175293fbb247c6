#include "elbo/data/polymnist.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/files.h"
#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/io/png.h"
#include "support/tensors.h"

namespace elbo {
namespace polymnist_test {
namespace {

using namespace data_test;
using ::testing::HasSubstr;

/// A picture whose bytes tell split, modality and index.
Image picture(int split, int m, int index) {
  Image image{.width = 6, .height = 5, .channels = 3};
  for (int p = 0; p < 5 * 6 * 3; ++p) image.pixels.push_back(static_cast<uint8_t>(p + 7 * index + 50 * m + 100 * split));
  return image;
}

/// The published layout with this many rows; index i has label i % 3, and 10 comes after 9, not after 1.
void write_poly(const std::filesystem::path& root, int num_modalities = 2) {
  for (int split = 0; split < 2; ++split) {
    for (int m = 0; m < num_modalities; ++m) {
      for (int index = 0; index < (split == 0 ? 12 : 4); ++index) {
        write_file(root / (split == 0 ? "train" : "test") / text("m", m) / text(index, ".", index % 3, ".png"),
                   encode_png(picture(split, m, index)));
      }
    }
  }
}

std::shared_ptr<Dataset> polymnist(const std::filesystem::path& root, const std::string& options = "") {
  const auto dataset = from_yaml("{type: polymnist, modalities: 2, valid: 3" + options + "}", {.root = root, .seed = 1});
  dataset->load(at::kCPU);
  return dataset;
}

TEST(PolyMnist, RowsArePairedByIndexInNumericalOrder) {
  Folder folder;
  write_poly(folder.path() / "MMNIST");
  write_file(folder.path() / "MMNIST/train/m0/.DS_Store", "x");
  const auto dataset = polymnist(folder.path());
  EXPECT_EQ(dataset->size(Split::train), 9);
  EXPECT_EQ(dataset->size(Split::valid), 3);
  EXPECT_EQ(dataset->size(Split::test), 4);
  EXPECT_EQ(dataset->spec().at("m1").shape, (Shape{3, 5, 6}));
  EXPECT_EQ(dataset->spec().at("m1").levels, 256);
  EXPECT_EQ(dataset->spec().at("label").num_classes, 10);
  expect_equal(whole(*dataset, Split::test, "label"), torch::tensor({0, 1, 2, 0}, torch::kLong));
  std::vector<int64_t> seen;
  for (const Split split : {Split::train, Split::valid, Split::test}) {
    const auto first = whole(*dataset, split, "m0").mul(255).round(), second = whole(*dataset, split, "m1").mul(255).round();
    const auto labels = whole(*dataset, split, "label");
    for (int64_t row = 0; row < dataset->size(split); ++row) {
      const int place = split == Split::test ? 1 : 0;
      const auto index = (static_cast<int>(first[row][0][0][0].item<float>()) - 100 * place) / 7;
      if (place == 0) seen.push_back(index);
      EXPECT_EQ(labels[row].item<int64_t>(), index % 3);
      for (const auto& [m, pixels] : {std::pair(0, first[row]), std::pair(1, second[row])}) {
        const auto image = picture(place, m, index);
        for (int64_t p = 0; p < 30; ++p) {
          for (int64_t c = 0; c < 3; ++c) {
            ASSERT_EQ(pixels[c][p / 6][p % 6].item<float>(), image.pixels[static_cast<size_t>(p * 3 + c)]);
          }
        }
      }
    }
  }
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.begin() + 9));
  std::sort(seen.begin(), seen.end());
  for (int i = 0; i < 12; ++i) EXPECT_EQ(seen[static_cast<size_t>(i)], i);
}

TEST(PolyMnist, WhatIsNotTheLayoutIsADataErrorWithItsPath) {
  struct Case {
    const char* what;
    std::function<void(const std::filesystem::path&)> damage;
    const char* message;
  };
  const auto remove = [](const char* name) { return [name](const auto& root) { std::filesystem::remove_all(root / name); }; };
  const auto write = [](const char* name, const std::string& bytes) {
    return [name, bytes](const auto& root) { write_file(root / name, bytes); };
  };
  const Case cases[] = {
      {"no folder", remove("test"), "MMNIST/test/m0: no such folder; PolyMNIST is read from train/m0"},
      {"a modality is missing", remove("train/m1"), "MMNIST/train/m1: no such folder"},
      {"a picture too few", remove("train/m1/7.1.png"), "MMNIST/train/m0/7.1.png: "},
      {"a picture too many", write("train/m1/12.0.png", encode_png(picture(0, 1, 12))), "MMNIST/train/m1/12.0.png: "},
      {"no label", write("train/m1/12.png", "x"), "MMNIST/train/m1/12.png: the name is not INDEX.LABEL.png"},
      {"no number", write("train/m0/a.1.png", "x"), "MMNIST/train/m0/a.1.png: the name is not INDEX.LABEL.png"},
      {"negative", write("train/m0/-1.1.png", "x"), "the name is not INDEX.LABEL.png"},
      {"label 10", write("test/m0/9.10.png", "x"), "MMNIST/test/m0/9.10.png: label 10; 0 to 9 expected"},
      {"two labels", write("train/m0/3.4.png", "x"), "3.4.png: index 3 is also that of 3.0.png"},
      {"no image", write("train/m1/5.2.png", "no image"), "MMNIST/train/m1/5.2.png: byte "},
      {"other size", write("test/m1/1.1.png", encode_png({.width = 1, .height = 1, .channels = 3, .pixels = {1, 2, 3}})),
       "MMNIST/test/m1/1.1.png: 1 x 1 pixels of 3 channels; 6 x 5 of 3 expected"},
  };
  for (const auto& hostile : cases) {
    SCOPED_TRACE(hostile.what);
    Folder folder;
    write_poly(folder.path() / "MMNIST");
    hostile.damage(folder.path() / "MMNIST");
    try {
      polymnist(folder.path());
      ADD_FAILURE() << "was accepted";
    } catch (const DataError& error) {
      EXPECT_THAT(error.what(), HasSubstr(hostile.message));
    }
  }
  Folder folder;
  write_poly(folder.path() / "MMNIST");
  try {
    from_yaml("{type: polymnist, modalities: 2}", {.root = folder.path()});
    ADD_FAILURE();
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("data.valid: 5000 rows for validation leave none of 12"));
  }
}

}  // namespace
}  // namespace polymnist_test
}  // namespace elbo
