#include "elbo/data/cifar10.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "data/files.h"
#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "support/tensors.h"

namespace elbo {
namespace cifar10_test {
namespace {

using namespace data_test;
using ::testing::HasSubstr;

/// Record i: label i % 10, red all i, green all i + 1, the first pixel of blue 255.
std::string records(int first, int count) {
  std::string bytes;
  for (int i = first; i < first + count; ++i) {
    bytes += static_cast<char>(i % 10) + std::string(1024, static_cast<char>(i)) + std::string(1024, static_cast<char>(i + 1)) +
             '\xff' + std::string(1023, '\0');
  }
  return bytes;
}

void write_cifar(const std::filesystem::path& folder) {
  for (int i = 0; i < 5; ++i) write_file(folder / text("data_batch_", i + 1, ".bin"), records(4 * i, 4));
  write_file(folder / "test_batch.bin", records(100, 3));
}

TEST(Cifar10, ReadsPlanesAndLabelsFromEitherFolder) {
  for (const char* name : {"cifar10", "cifar-10-batches-bin"}) {
    Folder folder;
    write_cifar(folder.path() / name);
    const auto dataset = from_yaml("{type: cifar10, valid: 6}", {.root = folder.path(), .seed = 1});
    EXPECT_EQ(dataset->spec().at("x").shape, (Shape{3, 32, 32}));
    EXPECT_EQ(dataset->spec().at("x").levels, 256);
    EXPECT_EQ(dataset->size(Split::train), 14);
    EXPECT_EQ(dataset->size(Split::valid), 6);
    EXPECT_EQ(dataset->size(Split::test), 3);
    dataset->load(at::kCPU);
    const auto x = (whole(*dataset, Split::test) * 255).round().to(at::kLong), label = whole(*dataset, Split::test, "label");
    expect_equal(label, torch::tensor({0, 1, 2}, at::kLong));
    for (int64_t i = 0; i < 3; ++i) {
      EXPECT_TRUE(x[i][0].eq(100 + i).all().item<bool>());
      EXPECT_TRUE(x[i][1].eq(101 + i).all().item<bool>());
      EXPECT_EQ(x[i][2][0][0].item<int64_t>(), 255);
      EXPECT_EQ(x[i][2].sum().item<int64_t>(), 255);
    }
    const auto red =
        torch::cat({whole(*dataset, Split::train), whole(*dataset, Split::valid)}).select(1, 0).flatten(1).mean(1) * 255;
    expect_equal(std::get<0>(red.round().to(at::kLong).sort()), torch::arange(20));
  }
}

std::string refusal(const std::filesystem::path& root) {
  try {
    from_yaml("{type: cifar10, valid: 6}", {.root = root, .seed = 1})->load(at::kCPU);
  } catch (const DataError& error) {
    return error.what();
  }
  return "was accepted";
}

TEST(Cifar10, HostileFilesAreDataErrors) {
  Folder folder;
  EXPECT_THAT(refusal(folder.path()),
              HasSubstr("cifar10/data_batch_1.bin: no such file; get it with: scripts/fetch_data.sh cifar10"));
  const auto in = folder.path() / "cifar10";
  write_cifar(in);
  write_file(in / "data_batch_3.bin", records(0, 4).substr(0, 3 * 3073 + 5));
  EXPECT_THAT(refusal(folder.path()),
              HasSubstr("data_batch_3.bin: byte 9219: the file has 9,224 bytes; records of 3,073 expected"));
  write_file(in / "data_batch_3.bin", "");
  EXPECT_THAT(refusal(folder.path()), HasSubstr("data_batch_3.bin: byte 0: the file has 0 bytes"));
  auto wrong = records(0, 4);
  wrong[2 * 3073] = 10;
  write_file(in / "data_batch_3.bin", wrong);
  EXPECT_THAT(refusal(folder.path()), HasSubstr("data_batch_3.bin: byte 6146: label 10 of row 2; 0 to 9 expected"));
}

/// A sparse file that claims, rightly, more rows than fit: nothing may be allocated for them.
TEST(MemoryDataset, ASetTooLargeForTheMemoryIsRefusedBeforeItIsRead) {
  const int64_t memory = int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGE_SIZE);
  constexpr int64_t kWidth = 1 << 20;
  const int64_t rows = memory / kWidth;
  if (memory > int64_t{60} << 30) GTEST_SKIP() << "more memory than an array of ours may have";
  Folder folder;
  write_file(folder.path() / "a.idx", idx(8, {rows, kWidth}, ""));
  std::error_code error;
  std::filesystem::resize_file(folder.path() / "a.idx", static_cast<uintmax_t>(12 + rows * kWidth), error);
  if (error) GTEST_SKIP() << "no sparse file of that size here: " << error.message();
  const auto dataset = from_yaml("{type: idx, images: a.idx}", {.root = folder.path(), .seed = 1});
  try {
    dataset->load(at::kCPU);
    FAIL() << "was accepted";
  } catch (const DataError& refused) {
    EXPECT_THAT(refused.what(),
                ::testing::ContainsRegex("a.idx: needs [0-9.]+ GB of memory while it is read, but only [0-9.]+ GB are free"));
    EXPECT_THAT(refused.what(), HasSubstr("image_folder"));
  }
}

}  // namespace
}  // namespace cifar10_test
}  // namespace elbo
