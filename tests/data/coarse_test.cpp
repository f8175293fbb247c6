#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/files.h"
#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/data/loader.h"
#include "elbo/io/png.h"
#include "support/tensors.h"

// data.coarse: x is the means over squares of the field target, the whole picture.
namespace elbo {
namespace coarse_test {
namespace {

using namespace data_test;
using ::testing::HasSubstr;

std::shared_ptr<Dataset> loaded(const std::string& yaml, const std::filesystem::path& root = {}) {
  const auto dataset = from_yaml("{type: " + yaml + "}", {.root = root, .seed = 1});
  dataset->load(at::kCPU);
  return dataset;
}

Batch training_rows(const Dataset& dataset) {
  Stream stream(1, "data", at::kCPU);
  stream.rekey(0);
  return dataset.gather(Split::train, all_rows(dataset, Split::train), stream);
}

Tensor means_over_squares(const Tensor& pictures, int64_t side) {
  return pictures.unfold(2, side, side).unfold(3, side, side).mean({4, 5});
}

std::string refusal(const std::string& yaml, const std::filesystem::path& root = {}) {
  try {
    from_yaml("{type: " + yaml + "}", {.root = root, .seed = 1});
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Coarse, XIsTheMeansOverSquaresOfTheTarget) {
  const auto plain = loaded("digits");
  for (const int64_t side : {2, 4}) {
    const auto coarse = loaded(text("digits, coarse: ", side));
    const auto x = coarse->spec().at("x"), target = coarse->spec().at("target");
    EXPECT_EQ(x.shape, (Shape{1, 8 / side, 8 / side}));
    EXPECT_EQ(x.kind, ValueKind::unit);
    EXPECT_EQ(x.levels, 0);  // means of 17 levels are on none of them
    EXPECT_EQ(target.shape, (Shape{1, 8, 8}));
    EXPECT_EQ(target.levels, 17);
    for (const auto split : {Split::train, Split::valid, Split::test}) {
      expect_equal(whole(*coarse, split, "target"), whole(*plain, split));
      expect_equal(whole(*coarse, split, "label"), whole(*plain, split, "label"));
      expect_close(whole(*coarse, split), means_over_squares(whole(*plain, split), side), 1e-6, 1e-7);
    }
    expect_close(coarse->training_mean(), whole(*coarse, Split::train).mean(0), 1e-5, 1e-6);
    EXPECT_NE(coarse->fingerprint(), plain->fingerprint());
  }
  EXPECT_NE(loaded("digits, coarse: 2")->fingerprint(), loaded("digits, coarse: 4")->fingerprint());
  EXPECT_EQ(loaded("digits, coarse: 2")->fingerprint(), loaded("digits, coarse: 2")->fingerprint());
  EXPECT_EQ(loaded("digits, coarse: 1")->fingerprint(), plain->fingerprint());
  EXPECT_FALSE(loaded("digits, coarse: 1")->spec().contains("target"));
}

TEST(Coarse, BothFieldsAreMirroredAndDequantisedAlike) {
  const auto flipped = loaded("digits, flip: true"), coarse = loaded("digits, flip: true, coarse: 2");
  const auto rows = training_rows(*coarse);
  expect_equal(rows.at("target"), training_rows(*flipped).at("x"));
  EXPECT_FALSE(rows.at("target").equal(whole(*loaded("digits"), Split::train)));
  expect_close(rows.at("x"), means_over_squares(rows.at("target"), 2), 1e-6, 1e-7);
  expect_close(coarse->training_mean(), means_over_squares(flipped->training_mean().unsqueeze(0), 2)[0], 1e-6, 1e-7);

  const auto smooth = loaded("digits, dequantize: true, coarse: 2");
  expect_equal(whole(*smooth, Split::valid, "target"), whole(*loaded("digits, dequantize: true"), Split::valid));
  expect_close(whole(*smooth, Split::valid), means_over_squares(whole(*smooth, Split::valid, "target"), 2), 1e-6, 1e-7);
}

TEST(Coarse, IsAnOptionOfEverySetOfImages) {
  Folder folder;
  const auto root = folder.path();
  write_mnist(root / "fashion_mnist", 30, 10);
  write_mnist(root / "mnist", 30, 10);
  for (const std::string name : {"fashion_mnist", "mnist"}) {
    const auto set = loaded(name + ", valid: 5, coarse: 2", root);
    EXPECT_EQ(whole(*set, Split::test).sizes(), (Shape{10, 1, 14, 14})) << name;
    EXPECT_EQ(whole(*set, Split::test, "target").sizes(), (Shape{10, 1, 28, 28})) << name;
  }
  write_file(root / "images.idx", idx(8, {20, 3, 4, 6}, ramp(20 * 72)));
  const auto own = loaded("idx, images: images.idx, coarse: 2", root);
  EXPECT_EQ(own->spec().at("x").shape, (Shape{3, 2, 3}));
  expect_close(whole(*own, Split::train), means_over_squares(whole(*own, Split::train, "target"), 2), 1e-6, 1e-7);
  for (int i = 1; i <= 5; ++i) write_file(root / "cifar10" / text("data_batch_", i, ".bin"), std::string(3073 * 4, '\1'));
  write_file(root / "cifar10/test_batch.bin", std::string(3073 * 2, '\1'));
  EXPECT_EQ(whole(*loaded("cifar10, valid: 4, coarse: 4", root), Split::test).sizes(), (Shape{2, 3, 8, 8}));
}

/// train of ten pictures of noise, valid and test of one each.
void write_pictures(const std::filesystem::path& root, int side) {
  for (int i = 0; i < 12; ++i) {
    Image image = {.width = side, .height = side, .channels = 3};
    for (int k = 0; k < 3 * side * side; ++k)
      image.pixels.push_back(static_cast<uint8_t>(hash_key({7, uint64_t(i), uint64_t(k)})));
    write_file(root / "images" /
                   (i < 10   ? "train"
                    : i < 11 ? "valid"
                             : "test") /
                   text("image", 100 + i, ".png"),
               encode_png(image));
  }
}

TEST(Coarse, FoldersOfImagesGiveBothWhateverTheThreads) {
  Folder folder;
  write_pictures(folder.path(), 8);
  const std::string options = "image_folder, path: images, size: 8, flip: true";
  const auto plain = loaded(options, folder.path());
  const auto cached = loaded(options + ", coarse: 2, batch_size: 4", folder.path());
  const auto uncached = loaded(options + ", coarse: 2, batch_size: 4, cache_bytes: 0, workers: 3", folder.path());
  EXPECT_EQ(cached->spec().at("x").shape, (Shape{3, 4, 4}));
  EXPECT_EQ(cached->spec().at("target").shape, (Shape{3, 8, 8}));
  expect_equal(whole(*cached, Split::valid, "target"), whole(*plain, Split::valid));
  expect_close(cached->training_mean(), means_over_squares(plain->training_mean().unsqueeze(0), 2)[0], 1e-6, 1e-7);
  EXPECT_NE(cached->fingerprint(), plain->fingerprint());
  Loader one(cached, 4, 1, ShortBatch::drop), other(uncached, 4, 1, ShortBatch::drop);
  for (int64_t step = 0; step < 4; ++step) {
    Stream stream(1, "data", at::kCPU), same(1, "data", at::kCPU);
    stream.rekey(step);
    same.rekey(step);
    const auto a = one.at(step, stream), b = other.at(step, same);
    expect_equal(a.at("target"), b.at("target"));
    expect_equal(a.at("x"), b.at("x"));
    expect_close(a.at("x"), means_over_squares(a.at("target"), 2), 1e-6, 1e-7);
  }
}

TEST(Coarse, IsRefusedWhereItMakesNoSense) {
  Folder folder;
  for (const std::string how : {"static", "dynamic", "threshold"}) {
    EXPECT_EQ(refusal("digits, coarse: 2, binarize: " + how),
              "data.coarse: means of pixels that are 0 or 1 are neither; leave it out, or keep grey values");
  }
  EXPECT_EQ(refusal("digits, coarse: 3"),
            "data.coarse: squares of 3 x 3 don't fill pictures of 8 x 8; choose a side that divides both");
  EXPECT_THAT(refusal("digits, coarse: 16"), HasSubstr("16 x 16 don't fill"));
  EXPECT_THAT(refusal("digits, coarse: 0"), HasSubstr("data.coarse"));
  write_file(folder.path() / "rows.idx", idx(8, {20, 16}, ramp(320)));
  EXPECT_EQ(refusal("idx, images: rows.idx, coarse: 2", folder.path()),
            "data.coarse: needs images [C, H, W], but field 'x' is [16]; leave it out");
  write_file(folder.path() / "bits.idx", idx(8, {20, 4, 4}, ramp(320, 2)));
  EXPECT_THAT(refusal("idx, images: bits.idx, values: binary, coarse: 2", folder.path()),
              HasSubstr("data.coarse: means of pixels"));
  write_pictures(folder.path(), 8);
  EXPECT_THAT(refusal("image_folder, path: images, size: 9, coarse: 2", folder.path()), HasSubstr("pictures of 9 x 9"));
}

}  // namespace
}  // namespace coarse_test
}  // namespace elbo
