#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/files.h"
#include "elbo/base/error.h"
#include "elbo/data/digits.h"
#include "elbo/data/loader.h"
#include "support/tensors.h"

namespace elbo {
namespace augmentation_test {
namespace {

using namespace data_test;
using ::testing::HasSubstr;

std::shared_ptr<Dataset> digits(const DataOptions& options, uint64_t seed = 1) {
  const auto dataset = make_digits({.options = options}, {.seed = seed});
  dataset->load(at::kCPU);
  return dataset;
}

Tensor drawn(const Dataset& dataset, Split split, const Tensor& index, uint64_t seed = 1) {
  Stream stream(seed, "data", at::kCPU);
  stream.rekey(0);
  return dataset.gather(split, index, stream).at("x");
}

TEST(Flip, MirrorsHalfOfTheTrainingRowsAndNoOthers) {
  const auto plain = digits({}), flipped = digits({.flip = true});
  const auto rows = all_rows(*plain, Split::train);
  const auto x = drawn(*plain, Split::train, rows), y = drawn(*flipped, Split::train, rows);
  const auto same = (x == y).flatten(1).all(1), mirrored = (x.flip(-1) == y).flatten(1).all(1);
  EXPECT_TRUE(same.logical_or(mirrored).all().item<bool>());
  EXPECT_NEAR(mirrored.to(at::kFloat).mean().item<float>(), 0.5, 0.06);  // 1,437 rows: 4.5 standard errors
  expect_equal(drawn(*flipped, Split::train, rows), y);                  // by the stream's key alone
  EXPECT_FALSE(drawn(*flipped, Split::train, rows, 2).equal(y));
  for (const auto split : {Split::valid, Split::test}) expect_equal(whole(*flipped, split), whole(*plain, split));
  const auto mean = plain->training_mean();
  expect_close(flipped->training_mean(), (mean + mean.flip(-1)) / 2, 1e-6, 1e-7);
  EXPECT_NE(flipped->fingerprint(), plain->fingerprint());
}

TEST(Flip, GoesBeforeTheBits) {
  const auto plain = digits({.binarize = Binarize::threshold}), flipped = digits({.binarize = Binarize::threshold, .flip = true});
  const auto rows = all_rows(*plain, Split::train);
  const auto x = drawn(*plain, Split::train, rows), y = drawn(*flipped, Split::train, rows);
  EXPECT_TRUE((x == y).flatten(1).all(1).logical_or((x.flip(-1) == y).flatten(1).all(1)).all().item<bool>());
  const auto dynamic = drawn(*digits({.binarize = Binarize::dynamic, .flip = true}), Split::train, rows);
  EXPECT_TRUE(dynamic.eq(0).logical_or(dynamic.eq(1)).all().item<bool>());
}

TEST(Dequantize, SpreadsEachGreyLevelEvenlyOverItsBin) {
  const auto plain = digits({}), smooth = digits({.dequantize = true});
  EXPECT_EQ(smooth->spec().at("x").kind, ValueKind::unit);
  EXPECT_EQ(smooth->spec().at("x").levels, 17);
  for (const auto split : {Split::train, Split::valid}) {
    const auto rows = all_rows(*plain, split);
    const auto level = (drawn(*plain, split, rows) * 16).round(), x = drawn(*smooth, split, rows);
    EXPECT_TRUE(x.ge(0).logical_and(x.le(1)).all().item<bool>());
    const auto u = x * 17 - level;
    EXPECT_GE(u.min().item<float>(), -1e-5);
    EXPECT_LE(u.max().item<float>(), 1 + 1e-5);
    EXPECT_NEAR(u.mean().item<float>(), 0.5, 0.01);
    EXPECT_NEAR(u.var().item<float>(), 1.0 / 12, 0.005);
  }
  expect_close(smooth->training_mean(), (plain->training_mean() * 16 + 0.5) / 17, 1e-6, 1e-7);
  EXPECT_NE(smooth->fingerprint(), plain->fingerprint());
}

TEST(Dequantize, ValidAndTestRowsAreTheSameNumbersHoweverTheyAreRead) {
  const auto first = digits({.dequantize = true}), second = digits({.dequantize = true});
  const auto x = whole(*first, Split::valid);
  const auto some = torch::tensor({5, 0, 17, 5});
  expect_equal(drawn(*second, Split::valid, some, 77), x.index_select(0, some));
  EXPECT_FALSE(whole(*digits({.dequantize = true}, 2), Split::valid).equal(x));
  // The noise is of the row: no two rows share it, nor do the splits.
  const auto u = (x * 17).frac(), test = (whole(*first, Split::test) * 17).frac();
  EXPECT_GT((u[0] - u[1]).abs().max().item<float>(), 0.1);
  EXPECT_GT((u[0] - test[0]).abs().max().item<float>(), 0.1);
}

TEST(Augmentation, TrainingRowsAreDrawnAfreshEachStepAndAgainTheSameAfterwards) {
  const auto dataset = digits({.flip = true, .dequantize = true, .batch_size = 50});
  Loader forward(dataset, 50, 3, ShortBatch::keep), fresh(dataset, 50, 3, ShortBatch::keep);
  Stream stream(3, "data", at::kCPU);
  std::vector<Tensor> seen;
  for (int64_t step = 0; step < 40; ++step) {
    stream.rekey(step);
    seen.push_back(forward.at(step, stream).at("x"));
  }
  for (const int64_t step : {39, 28, 3}) {
    stream.rekey(step);
    EXPECT_TRUE(fresh.at(step, stream).at("x").equal(seen[static_cast<size_t>(step)])) << step;
  }
}

std::string config_error(const std::string& yaml, const std::filesystem::path& root = "data") {
  try {
    from_yaml(yaml, {.root = root, .seed = 1});
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Augmentation, WhatCannotBeDoneIsAConfigError) {
  Folder folder;
  const auto x = torch::rand({20, 5});
  write_npz(folder.path() / "x.npz", {{"x", view_of(x)}});
  EXPECT_THAT(config_error("{type: npz, path: x.npz, flip: true}", folder.path()),
              HasSubstr("data.flip: needs images [C, H, W], but field 'x' is [5]"));
  EXPECT_THAT(config_error("{type: npz, path: x.npz, dequantize: true}", folder.path()),
              HasSubstr("data.dequantize: needs grey levels, but field 'x' is real"));
  EXPECT_THAT(config_error("{type: digits, dequantize: true, binarize: dynamic}"),
              HasSubstr("data.dequantize: makes grey levels"));
}

/// Notes what is announced and what is read.
class Announced final : public Dataset {
 public:
  const DataSpec& spec() const override { return spec_; }
  int64_t size(Split) const override { return 10; }
  int64_t batch_size() const override { return 4; }
  void load(at::Device) override {}
  Batch gather(Split, const Tensor& index, Stream&) const override {
    read.push_back(index.clone());
    return {.fields = {{"x", {.value = index.to(at::kFloat)}}}, .index = index};
  }
  void prefetch(Split, const Tensor& index) const override { announced.push_back(index.clone()); }
  std::string fingerprint() const override { return ""; }
  Tensor training_mean() const override { return {}; }

  mutable std::vector<Tensor> announced = {}, read = {};

 private:
  DataSpec spec_ = {};
};

TEST(Prefetch, TheLoaderAnnouncesTheNextTwoBatchesAcrossEpochs) {
  const auto dataset = std::make_shared<Announced>();
  Loader loader(dataset, 4, 1, ShortBatch::keep);
  Stream stream(1, "data", at::kCPU);
  for (int64_t step = 0; step < 9; ++step) loader.at(step, stream);
  for (size_t step = 0; step + 2 < 9; ++step) {
    for (size_t ahead = 0; ahead < 3; ++ahead) {
      ASSERT_TRUE(dataset->announced.at(3 * step + ahead).equal(dataset->read.at(step + ahead))) << step << " " << ahead;
    }
  }
}

TEST(Prefetch, TheSequentialLoaderAnnouncesTheRowsAfterTheBatch) {
  const auto dataset = std::make_shared<Announced>();
  const SequentialLoader loader(dataset, Split::valid, 2, 9);
  loader.at(0);
  expect_equal(dataset->announced.at(0), torch::arange(0, 6));
  loader.at(4);
  expect_equal(dataset->announced.at(1), torch::arange(8, 9));
}

}  // namespace
}  // namespace augmentation_test
}  // namespace elbo
