#include "elbo/data/loader.h"

#include <gtest/gtest.h>

#include "data/files.h"
#include "elbo/base/error.h"
#include "elbo/data/digits.h"
#include "elbo/data/memory_dataset.h"
#include "support/tensors.h"

namespace elbo {
namespace loader_test {
namespace {

std::shared_ptr<Dataset> digits(Binarize binarize = Binarize::none) {
  const auto dataset = make_digits({.options = {.binarize = binarize}}, {.seed = 1});
  dataset->load(at::kCPU);
  return dataset;
}

constexpr int64_t kTrain = 1437;

Tensor rows_of_epoch(Loader& loader, int64_t epoch) {
  Stream stream(1, "data", at::kCPU);
  std::vector<Tensor> rows;
  for (int64_t i = 0; i < loader.steps_per_epoch(); ++i) {
    rows.push_back(loader.at(epoch * loader.steps_per_epoch() + i, stream).index);
  }
  return torch::cat(rows);
}

TEST(Loader, ReadsEachRowOnceAnEpochInANewOrder) {
  Loader loader(digits(), 100, 5, ShortBatch::keep);
  EXPECT_EQ(loader.num_examples(), kTrain);
  EXPECT_EQ(loader.steps_per_epoch(), 15);
  const auto first = rows_of_epoch(loader, 0), second = rows_of_epoch(loader, 1);
  expect_equal(std::get<0>(first.sort()), torch::arange(kTrain));
  expect_equal(std::get<0>(second.sort()), torch::arange(kTrain));
  EXPECT_FALSE(first.equal(second));
  EXPECT_FALSE(first.equal(torch::arange(kTrain)));
}

TEST(Loader, IsAFunctionOfSeedAndStep) {
  const auto dataset = digits(Binarize::dynamic);
  Loader forward(dataset, 100, 5, ShortBatch::keep), fresh(dataset, 100, 5, ShortBatch::keep),
      other(dataset, 100, 6, ShortBatch::keep);
  Stream stream(1, "data", at::kCPU);
  std::vector<Batch> batches;
  for (int64_t step = 0; step < 32; ++step) {
    stream.rekey(step);
    batches.push_back(forward.at(step, stream));
  }
  for (const int64_t step : {31, 2, 16, 14}) {
    stream.rekey(step);
    const auto batch = fresh.at(step, stream);
    expect_equal(batch.index, batches[static_cast<size_t>(step)].index);
    EXPECT_TRUE(batch.at("x").equal(batches[static_cast<size_t>(step)].at("x")));
    EXPECT_TRUE(batch.at("label").equal(batches[static_cast<size_t>(step)].at("label")));
    EXPECT_FALSE(other.at(step, stream).index.equal(batch.index));
  }
}

TEST(Loader, TheShortBatchIsKeptOrDropped) {
  Loader keep(digits(), 100, 5, ShortBatch::keep), drop(digits(), 100, 5, ShortBatch::drop);
  Stream stream(1, "data", at::kCPU);
  EXPECT_EQ(keep.at(13, stream).size(), 100);
  EXPECT_EQ(keep.at(14, stream).size(), 37);
  EXPECT_EQ(keep.at(15, stream).size(), 100);
  EXPECT_EQ(drop.steps_per_epoch(), 14);
  EXPECT_EQ(drop.at(14, stream).size(), 100);
  EXPECT_EQ(std::get<0>(torch::_unique(rows_of_epoch(drop, 1))).numel(), 1400);
  EXPECT_EQ(Loader(digits(), 5000, 5, ShortBatch::keep).at(3, stream).size(), kTrain);
}

TEST(Loader, RefusesABatchLargerThanTheSplitWhereItWouldBeDropped) {
  try {
    Loader(digits(), 1438, 5, ShortBatch::drop);
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_STREQ(
        error.what(),
        "data.batch_size: 1438 rows, but the training split has only 1437 and a batch that is not full would be dropped");
  }
  EXPECT_THROW(Loader(digits(), 0, 5, ShortBatch::keep), UsageError);
  Loader loader(digits(), 10, 5, ShortBatch::keep);
  Stream stream(1, "data", at::kCPU);
  EXPECT_THROW(loader.at(-1, stream), UsageError);
}

TEST(Loader, WarnsOfABatchLargerThanTheSplit) {
  const auto dataset = digits();
  ::testing::internal::CaptureStderr();
  Loader(dataset, 1437, 5, ShortBatch::keep);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  ::testing::internal::CaptureStderr();
  Loader(dataset, 1438, 5, ShortBatch::keep);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(),
            "warning: batch_size 1438 is larger than the 1437 training rows: one batch an epoch\n");
}

Tensor read_all(const SequentialLoader& loader) {
  std::vector<Tensor> rows;
  for (int64_t i = 0; i < loader.num_batches(); ++i) rows.push_back(loader.at(i).at("x"));
  return torch::cat(rows);
}

TEST(SequentialLoader, ReadsASplitInOrder) {
  const auto dataset = digits();
  const SequentialLoader loader(dataset, Split::valid, 50);
  EXPECT_EQ(loader.num_batches(), 4);
  EXPECT_EQ(loader.num_examples(), 180);
  EXPECT_EQ(loader.at(3).size(), 30);
  expect_equal(loader.at(1).index, torch::arange(50, 100));
  EXPECT_TRUE(read_all(loader).equal(data_test::whole(*dataset, Split::valid)));
  EXPECT_THROW(loader.at(4), UsageError);
}

TEST(SequentialLoader, StopsAtTheLimit) {
  const SequentialLoader loader(digits(), Split::test, 50, 70);
  EXPECT_EQ(loader.num_examples(), 70);
  EXPECT_EQ(loader.num_batches(), 2);
  EXPECT_EQ(loader.at(1).size(), 20);
  EXPECT_EQ(SequentialLoader(digits(), Split::test, 50, 7000).num_examples(), 180);
  EXPECT_THROW(SequentialLoader(digits(), Split::test, 50, -1), UsageError);
}

TEST(SequentialLoader, ARowDoesNotDependOnBatchSizeOrLimit) {
  const auto dataset = digits(Binarize::dynamic);
  for (const Split split : {Split::train, Split::valid, Split::test}) {
    const auto expected = read_all(SequentialLoader(dataset, split, 64));
    EXPECT_TRUE(read_all(SequentialLoader(dataset, split, 50)).equal(expected));
    EXPECT_TRUE(read_all(SequentialLoader(dataset, split, 5000)).equal(expected));
    EXPECT_TRUE(read_all(SequentialLoader(dataset, split, 7, 100)).equal(expected.narrow(0, 0, 100)));
  }
  const auto batch = SequentialLoader(dataset, Split::train, 50).at(3);
  expect_equal(batch.index, torch::arange(150, 200));
  EXPECT_EQ(batch.at("label").sizes(), at::IntArrayRef({50}));
}

}  // namespace
}  // namespace loader_test
}  // namespace elbo
