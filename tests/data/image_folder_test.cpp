#include "elbo/data/image_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/files.h"
#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/data/loader.h"
#include "elbo/io/jpeg.h"
#include "support/tensors.h"

namespace elbo {
namespace image_folder_test {
namespace {

using namespace data_test;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

/// Every pixel the same.
Image flat(int width, int height, std::vector<uint8_t> colour) {
  Image image = {.width = width, .height = height, .channels = static_cast<int>(colour.size())};
  for (int i = 0; i < width * height; ++i) image.pixels.insert(image.pixels.end(), colour.begin(), colour.end());
  return image;
}

void write_png_file(const fs::path& path, const Image& image) { write_file(path, encode_png(image)); }

std::shared_ptr<Dataset> loaded(const fs::path& root, const std::string& options, uint64_t seed = 1) {
  const auto dataset = from_yaml("{type: image_folder, path: images, " + options + "}", {.root = root, .seed = seed});
  dataset->load(at::kCPU);
  return dataset;
}

/// train of the given images, valid and test of one each.
void write_splits(const fs::path& root, const std::vector<Image>& train) {
  for (size_t i = 0; i < train.size(); ++i) write_png_file(root / "images/train" / text("image", 100 + i, ".png"), train[i]);
  for (const char* split : {"valid", "test"}) write_png_file(root / "images" / split / "a.png", flat(4, 4, {7}));
}

std::string refusal(const std::function<void()>& act) {
  try {
    act();
  } catch (const DataError& error) {
    return error.what();
  }
  ADD_FAILURE() << "was accepted";
  return "";
}

TEST(ImageFolder, ReadsTheBytesAsTheyAre) {
  Folder folder;
  Image image = {.width = 2, .height = 2, .channels = 3, .pixels = {0, 51, 255, 10, 20, 30, 40, 50, 60, 70, 80, 90}};
  write_splits(folder.path(), {image, flat(2, 2, {51})});
  const auto dataset = loaded(folder.path(), "size: 2");
  EXPECT_EQ(dataset->spec().at("x").shape, (Shape{3, 2, 2}));
  EXPECT_EQ(dataset->spec().at("x").levels, 256);
  EXPECT_EQ(dataset->spec().size(), 1u);
  const auto expected = torch::tensor({{{0, 10}, {40, 70}}, {{51, 20}, {50, 80}}, {{255, 30}, {60, 90}}}, at::kFloat) / 255;
  expect_equal(whole(*dataset, Split::train)[0], expected);
  expect_equal(whole(*dataset, Split::train)[1], torch::full({3, 2, 2}, 51.0f) / 255);  // grey in three channels
  expect_close(dataset->training_mean(), whole(*dataset, Split::train).mean(0), 1e-6, 1e-7);
  const auto grey = loaded(folder.path(), "size: 2, colour: grey");
  EXPECT_EQ(grey->spec().at("x").shape, (Shape{1, 2, 2}));
  EXPECT_EQ(whole(*grey, Split::train)[0][0][0][0].item<float>(), 59.0f / 255);  // 0.587 * 51 + 0.114 * 255 = 59.007
}

TEST(ImageFolder, ScalesTheShorterSideAndCutsTheMiddle) {
  Folder folder;
  Image wide = {.width = 12, .height = 4, .channels = 1};  // the middle square is 200, what is left and right of it is not
  for (int i = 0; i < 48; ++i) wide.pixels.push_back(i % 12 < 4 ? 10 : i % 12 < 8 ? 200 : 90);
  Image checked = {.width = 64, .height = 64, .channels = 1};
  for (int i = 0; i < 64 * 64; ++i) checked.pixels.push_back((i + i / 64) % 2 == 0 ? 0 : 254);
  write_splits(folder.path(), {wide, checked, flat(3, 5, {77})});
  const auto x = whole(*loaded(folder.path(), "size: 4, colour: grey"), Split::train);
  expect_equal(x[0], torch::full({1, 4, 4}, 200.0f / 255));
  expect_close(x[1], torch::full({1, 4, 4}, 127.0f / 255), 0, 1.01 / 255);  // anti-aliased: picking pixels would give 0 and 254
  expect_equal(x[2], torch::full({1, 4, 4}, 77.0f / 255));                  // grown, weights sum to 1
  const auto smaller = whole(*loaded(folder.path(), "size: 2, colour: grey"), Split::train);
  EXPECT_GT(smaller[0][0][0][0].item<float>(), 170.0f / 255);  // the triangle reaches a little beyond the square
  EXPECT_LT(smaller[0][0][0][0].item<float>(), 200.0f / 255);
}

TEST(ImageFolder, FilesAreFoundInOrderWhateverTheirExtensionsCase) {
  Folder folder;
  const auto root = folder.path() / "images";
  for (const char* name : {"train/b/2.PNG", "train/b/1.png", "train/a.Png", "train/c/d/e.png", "valid/x.png", "test/x.png"}) {
    write_png_file(root / name, flat(1, 1, {static_cast<uint8_t>(name[6])}));
  }
  write_file(root / "train/notes.txt", "not an image");
  write_file(root / "train/.hidden.png", "not an image");
  write_file(root / "train/.hidden/a.png", "not an image");
  write_file(root / "stray.png", "not looked at");
  const auto dataset = loaded(folder.path(), "size: 1, colour: grey");
  EXPECT_EQ(dataset->size(Split::train), 4);
  EXPECT_EQ(dataset->size(Split::valid), 1);
  EXPECT_EQ(dataset->size(Split::test), 1);
  expect_equal((whole(*dataset, Split::train) * 255).round().flatten(), torch::tensor({'a', 'b', 'b', 'c'}, at::kFloat));
}

TEST(ImageFolder, LabelsAreTheFirstSubFolders) {
  Folder folder;
  for (int i = 0; i < 30; ++i) {
    write_png_file(folder.path() / "images" /
                       (i % 3 == 0   ? "dog"
                        : i % 3 == 1 ? "cat"
                                     : "ape/small") /
                       text(i, ".png"),
                   flat(1, 1, {static_cast<uint8_t>(i % 3)}));
  }
  const auto dataset = loaded(folder.path(), "size: 1, colour: grey, labels: folders");
  EXPECT_EQ(dataset->spec().at("label").num_classes, 3);
  EXPECT_EQ(dataset->size(Split::train), 24);
  for (const Split split : {Split::train, Split::valid, Split::test}) {
    const auto grey = (whole(*dataset, split) * 255).round().flatten().to(torch::kLong);
    expect_equal(whole(*dataset, split, "label"), 2 - grey);  // ape, cat, dog
  }
  const auto lacking = loaded(folder.path(), "size: 1, labels: folders, missing: {rates: {label: 0.5}}");
  Stream stream(1, "data", at::kCPU);
  const auto labels = lacking->gather(Split::train, all_rows(*lacking, Split::train), stream).fields.at("label");
  ASSERT_TRUE(labels.present.defined());
  EXPECT_GT(labels.present.sum().item<int64_t>(), 4);
  EXPECT_LT(labels.present.sum().item<int64_t>(), 20);
  EXPECT_EQ(labels.value.masked_select(labels.present.logical_not()).abs().sum().item<int64_t>(), 0);
  const auto other = loaded(folder.path(), "size: 1, labels: folders", 2);
  EXPECT_NE(other->fingerprint(), loaded(folder.path(), "size: 1, labels: folders", 1)->fingerprint());
  write_png_file(folder.path() / "images" / "stray.png", flat(1, 1, {1}));
  EXPECT_THAT(refusal([&] { loaded(folder.path(), "labels: folders"); }), HasSubstr("images/stray.png: lies in no sub-folder"));
  EXPECT_EQ(loaded(folder.path(), "size: 1")->spec().count("label"), 0u);
}

TEST(ImageFolder, AClassMayBeCalledTrainWhenTheSplitIsBySeed) {
  Folder folder;
  for (int i = 0; i < 20; ++i)
    write_png_file(folder.path() / "images" / (i % 2 ? "train" : "plane") / text(i, ".png"), flat(1, 1, {1}));
  const auto by_seed = loaded(folder.path(), "size: 1, labels: folders, splits: seed");
  EXPECT_EQ(by_seed->spec().at("label").num_classes, 2);
  EXPECT_EQ(by_seed->size(Split::train), 16);
  EXPECT_THAT(refusal([&] { loaded(folder.path(), "labels: folders"); }),
              HasSubstr("lies in no sub-folder that tells its class"));
}

TEST(ImageFolder, FoldersThatCannotBeUsedAreRefused) {
  Folder folder;
  EXPECT_THAT(refusal([&] { loaded(folder.path(), "size: 1"); }), HasSubstr("images: no such folder; relative paths start at"));
  write_file(folder.path() / "images/readme.txt", "x");
  EXPECT_THAT(refusal([&] { loaded(folder.path(), "size: 1"); }), HasSubstr("images: no PNG or JPEG images"));
  write_png_file(folder.path() / "images/a.png", flat(1, 1, {1}));
  EXPECT_THAT(refusal([&] { loaded(folder.path(), "size: 1"); }), HasSubstr("images: only 1 image: too few"));
  EXPECT_THAT(refusal([&] { loaded(folder.path(), "splits: folders"); }), HasSubstr("images/train: no PNG or JPEG images"));
}

/// JPEGs and PNGs of several sizes, all different.
void write_many(const fs::path& root, int count) {
  for (int i = 0; i < count; ++i) {
    Image image = {.width = 16 + i % 5 * 8, .height = 40 - i % 3 * 12, .channels = i % 4 == 0 ? 1 : 3};
    for (int p = 0; p < image.width * image.height * image.channels; ++p)
      image.pixels.push_back(static_cast<uint8_t>((p * (i + 3) + i * 50) / 7));
    const auto name = text("image", 1000 + i, i % 3 == 0 ? ".png" : ".jpg");
    write_file(root / "images" / name, i % 3 == 0 ? encode_png(image) : encode_jpeg(image));
  }
}

/// Batches of three epochs and then of evaluation.
std::vector<Batch> everything(const std::shared_ptr<Dataset>& dataset, int64_t from_step = 0) {
  Loader loader(dataset, 16, 3, ShortBatch::keep);
  Stream stream(3, "data", at::kCPU);
  std::vector<Batch> batches;
  for (int64_t step = from_step; step < 3 * loader.steps_per_epoch(); ++step) {
    stream.rekey(step);
    batches.push_back(loader.at(step, stream));
  }
  const SequentialLoader valid(dataset, Split::valid, 3);
  for (int64_t i = 0; i < valid.num_batches(); ++i) batches.push_back(valid.at(i));
  return batches;
}

TEST(ImageFolder, NumbersDependOnNeitherThreadsNorCache) {
  Folder folder;
  write_many(folder.path(), 70);
  const std::string common = "size: 12, flip: true, dequantize: true, batch_size: 16, ";
  const auto expected = everything(loaded(folder.path(), common + "workers: 1, cache_bytes: 0"));
  for (const char* options : {"workers: 1", "workers: 7, cache_bytes: 0", "workers: 3, cache_bytes: 9000", "workers: 16"}) {
    const auto seen = everything(loaded(folder.path(), common + options));
    ASSERT_EQ(seen.size(), expected.size());
    for (size_t i = 0; i < seen.size(); ++i) {
      ASSERT_TRUE(seen[i].index.equal(expected[i].index)) << options << " " << i;
      ASSERT_TRUE(seen[i].at("x").equal(expected[i].at("x"))) << options << " " << i;
    }
  }
  // A run that starts in the middle reads the same.
  const auto later = everything(loaded(folder.path(), common + "workers: 2"), 6);
  for (size_t i = 0; i < later.size(); ++i) {
    ASSERT_TRUE(later[i].at("x").equal(expected[i + 6].at("x"))) << i;
  }
}

TEST(ImageFolder, IsTheSameAsItsPixelsInMemory) {
  Folder folder;
  write_splits(folder.path(), {flat(2, 2, {1, 2, 3}), flat(2, 2, {250, 100, 0})});
  const auto x = (whole(*loaded(folder.path(), "size: 2"), Split::train) * 255).round().to(torch::kByte).contiguous();
  write_npz(folder.path() / "x.npz", {{"x_train", view_of(x)}, {"x_valid", view_of(x)}, {"x_test", view_of(x)}});
  for (const std::string options : {"flip: true", "dequantize: true, flip: true", "binarize: dynamic", "binarize: threshold"}) {
    const auto memory = from_yaml("{type: npz, path: x.npz, values: unit, " + options + "}", {.root = folder.path(), .seed = 1});
    memory->load(at::kCPU);
    const auto streamed = loaded(folder.path(), "size: 2, " + options);
    EXPECT_TRUE(whole(*memory, Split::train).equal(whole(*streamed, Split::train))) << options;
    EXPECT_EQ(memory->spec().at("x").kind, streamed->spec().at("x").kind);
    EXPECT_EQ(memory->spec().at("x").levels, streamed->spec().at("x").levels);
  }
}

TEST(ImageFolder, ADamagedFileStops) {
  Folder folder;
  write_splits(folder.path(), {flat(2, 2, {1}), flat(2, 2, {2}), flat(2, 2, {3})});
  write_file(folder.path() / "images/train/image101.png", encode_png(flat(2, 2, {2})).substr(0, 50));
  const auto dataset = loaded(folder.path(), "size: 2");
  const auto message = refusal([&] { whole(*dataset, Split::train); });
  EXPECT_THAT(message, HasSubstr("images/train/image101.png: byte 50: not a readable PNG image"));
  EXPECT_THAT(message, HasSubstr("; set data.corrupt: skip to"));
  EXPECT_THAT(refusal([&] { dataset->training_mean(); }), HasSubstr("image101.png"));
}

TEST(ImageFolder, ADamagedFileIsSkippedNamedOnceAndReplacedByTheNextGoodRow) {
  Folder folder;
  const auto train = folder.path() / "images/train";
  for (int i = 0; i < 6; ++i)
    write_png_file(train / (i < 3 ? "a" : "b") / text(i, ".png"), flat(2, 2, {static_cast<uint8_t>(i)}));
  for (const char* split : {"valid/a/x.png", "test/a/x.png"}) write_png_file(folder.path() / "images" / split, flat(2, 2, {9}));
  for (const char* name : {"a/1.png", "a/2.png", "b/5.png"}) write_file(train / name, "\xff\xd8\xff nothing");
  for (const char* options : {"workers: 1, cache_bytes: 0", "workers: 4"}) {
    const auto dataset = loaded(folder.path(), "size: 2, colour: grey, labels: folders, corrupt: skip, " + std::string(options));
    ::testing::internal::CaptureStderr();
    for (int repeat = 0; repeat < 3; ++repeat) {
      Stream stream(1, "data", at::kCPU);
      const auto batch = dataset->gather(Split::train, torch::arange(6), stream);
      expect_equal((batch.at("x").flatten(1).mean(1) * 255).round(), torch::tensor({0, 3, 3, 3, 4, 0}, at::kFloat));
      expect_equal(batch.at("label"), torch::tensor({0, 1, 1, 1, 1, 0}, at::kLong));
    }
    const auto log = ::testing::internal::GetCapturedStderr();
    for (const std::string name : {"a/1.png", "a/2.png", "b/5.png"}) {
      const auto first = log.find("train/" + name + ": byte ");
      EXPECT_NE(first, std::string::npos) << log;
      EXPECT_EQ(log.find("train/" + name + ": byte ", first + 1), std::string::npos) << log;
    }
    EXPECT_THAT(log, HasSubstr("skipped, train/b/3.png stands in its place"));
  }
  write_file(folder.path() / "images/valid/a/x.png", "");
  const auto dataset = loaded(folder.path(), "size: 2, corrupt: skip");
  EXPECT_THAT(refusal([&] { whole(*dataset, Split::valid); }), HasSubstr("nor can any other image of its split be read"));
}

TEST(ImageFolder, TheFingerprintFollowsContentsAndOptionsNotThreads) {
  Folder folder;
  write_many(folder.path(), 12);
  const auto of = [&](const std::string& options) { return loaded(folder.path(), options)->fingerprint(); };
  const auto first = of("size: 8, workers: 1");
  EXPECT_EQ(of("size: 8, workers: 3, cache_bytes: 0"), first);
  for (const char* options : {"size: 9", "size: 8, colour: grey", "size: 8, corrupt: skip", "size: 8, flip: true",
                              "size: 8, dequantize: true", "size: 8, binarize: threshold"}) {
    EXPECT_NE(of(options), first) << options;
  }
  auto bytes = encode_jpeg(flat(20, 20, {3}));
  write_file(folder.path() / "images/image1001.jpg", bytes);
  const auto second = of("size: 8, workers: 1");
  EXPECT_NE(second, first);
  bytes[bytes.size() - 3] ^= 1;
  write_file(folder.path() / "images/image1001.jpg", bytes);
  EXPECT_NE(of("size: 8, workers: 1"), second);
  fs::rename(folder.path() / "images/image1001.jpg", folder.path() / "images/image1001b.jpg");
  EXPECT_NE(of("size: 8, workers: 1"), second);
}

TEST(ImageFolder, RowsOutsideAndSetsNotLoadedAreErrors) {
  Folder folder;
  write_many(folder.path(), 10);
  Stream stream(1, "data", at::kCPU);
  const auto dataset = from_yaml("{type: image_folder, path: images}", {.root = folder.path(), .seed = 1});
  EXPECT_THROW(dataset->gather(Split::train, torch::arange(1), stream), UsageError);
  dataset->load(at::kCPU);
  EXPECT_THROW(dataset->gather(Split::train, torch::tensor({8}), stream), UsageError);
  EXPECT_THROW(dataset->gather(Split::train, torch::tensor({-1}), stream), UsageError);
}

}  // namespace
}  // namespace image_folder_test
}  // namespace elbo
