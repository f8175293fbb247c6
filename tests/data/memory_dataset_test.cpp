#include "elbo/data/memory_dataset.h"

#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/files.h"
#include "elbo/base/error.h"
#include "elbo/data/digits.h"
#include "support/tensors.h"

namespace elbo {
namespace memory_dataset_test {
namespace {

using data_test::whole;
using ::testing::HasSubstr;

constexpr int64_t kRows = 300;

/// Rows of 2 x 3 pixels whose grey level is 5 i modulo 256, labels i modulo 7; splits 200, 60 and 40 in order.
RowSource small_source() {
  RowSource source;
  source.spec = {{"x", {.shape = {1, 2, 3}, .kind = ValueKind::unit, .levels = 256}},
                 {"label", {.shape = {}, .kind = ValueKind::category, .num_classes = 7}}};
  source.rows = {torch::arange(0, 200), torch::arange(200, 260), torch::arange(260, kRows)};
  source.read = [] {
    const auto grey = torch::arange(kRows * 6, torch::kLong).mul(5).remainder(256).to(torch::kByte);
    return std::map<std::string, Tensor>{{"x", grey.view({kRows, 1, 2, 3})},
                                         {"label", torch::arange(kRows).remainder(7).to(torch::kByte)}};
  };
  return source;
}

std::shared_ptr<MemoryDataset> small(Binarize binarize, uint64_t seed = 3) {
  auto dataset = std::make_shared<MemoryDataset>(small_source(), DataOptions{.binarize = binarize, .batch_size = 10}, seed);
  dataset->load(at::kCPU);
  return dataset;
}

Tensor grey(Split split) {
  const auto source = small_source();
  return source.read().at("x").index_select(0, source.rows[static_cast<size_t>(split)]).to(torch::kFloat) / 255.0f;
}

Stream stream_at(int64_t step) {
  Stream stream(1, "data", at::kCPU);
  stream.rekey(step);
  return stream;
}

TEST(MemoryDataset, GathersTheRowsAskedForAsFloatsInZeroOne) {
  const auto dataset = small(Binarize::none);
  auto stream = stream_at(0);
  const auto index = torch::tensor({3, 0, 3, 199}, torch::kLong);
  const auto batch = dataset->gather(Split::train, index, stream);
  expect_equal(batch.index, index);
  EXPECT_EQ(batch.size(), 4);
  ASSERT_EQ(batch.at("x").sizes(), at::IntArrayRef({4, 1, 2, 3}));
  for (int64_t i = 0; i < 4; ++i) {
    for (int64_t j = 0; j < 6; ++j) {
      const int64_t place = index[i].item<int64_t>() * 6 + j;
      EXPECT_EQ(batch.at("x")[i].flatten()[j].item<float>(), static_cast<float>(place * 5 % 256) / 255.0f);
    }
  }
  expect_equal(batch.at("label"), torch::tensor({3, 0, 3, 3}, torch::kLong));
  expect_equal(dataset->gather(Split::test, torch::tensor({1}), stream).at("label"), torch::tensor({261 % 7}));
}

TEST(MemoryDataset, SaysWhatFieldsABatchHas) {
  const auto dataset = small(Binarize::none);
  auto stream = stream_at(0);
  const auto batch = dataset->gather(Split::train, torch::tensor({0}), stream);
  EXPECT_TRUE(batch.has("label"));
  try {
    batch.at("lable");
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_STREQ(error.what(), "the data has no field 'lable', did you mean 'label'? It has label, x");
  }
}

TEST(MemoryDataset, RefusesRowsThatAreNotThereAndReadingBeforeLoading) {
  const auto dataset = small(Binarize::none);
  auto stream = stream_at(0);
  EXPECT_THROW(dataset->gather(Split::valid, torch::tensor({60}), stream), UsageError);
  EXPECT_THROW(dataset->gather(Split::valid, torch::tensor({-1}), stream), UsageError);
  EXPECT_THROW(dataset->gather(Split::valid, torch::tensor({{1}}), stream), ShapeError);
  const MemoryDataset fresh(small_source(), {}, 1);
  EXPECT_EQ(fresh.size(Split::valid), 60);
  EXPECT_EQ(fresh.spec().at("x").levels, 256);
  EXPECT_THROW(fresh.gather(Split::valid, torch::tensor({1}), stream), UsageError);
  EXPECT_THROW(fresh.fingerprint(), UsageError);
  EXPECT_THROW(fresh.training_mean(), UsageError);
}

TEST(Binarisation, SpecSaysBinary) {
  for (const auto binarize : {Binarize::once, Binarize::dynamic, Binarize::threshold}) {
    EXPECT_EQ(small(binarize)->spec().at("x").kind, ValueKind::binary);
    EXPECT_EQ(small(binarize)->spec().at("x").levels, 0);
  }
  EXPECT_EQ(small(Binarize::none)->spec().at("x").kind, ValueKind::unit);
}

TEST(Binarisation, EveryNumberIsZeroOrOneAndAsLikelyAsItsGreyLevel) {
  for (const auto binarize : {Binarize::once, Binarize::dynamic}) {
    const auto dataset = small(binarize);
    for (const Split split : {Split::train, Split::valid, Split::test}) {
      const auto bits = whole(*dataset, split), p = grey(split);
      EXPECT_TRUE((bits.eq(0) | bits.eq(1)).all().item<bool>());
      EXPECT_TRUE(bits.masked_select(p.eq(0)).eq(0).all().item<bool>());
      EXPECT_TRUE(bits.masked_select(p.eq(1)).eq(1).all().item<bool>());
      const double error = std::sqrt((p * (1 - p)).sum().item<double>());
      EXPECT_NEAR(bits.sum().item<double>(), p.sum().item<double>(), 4 * error);
    }
  }
}

TEST(Binarisation, ThresholdIsAtHalf) {
  const auto dataset = small(Binarize::threshold);
  expect_equal(whole(*dataset, Split::train), grey(Split::train).ge(0.5).to(torch::kFloat));
  expect_equal(whole(*dataset, Split::test), grey(Split::test).ge(0.5).to(torch::kFloat));
}

TEST(Binarisation, DynamicIsAFunctionOfSeedAndStep) {
  const auto dataset = small(Binarize::dynamic);
  const auto index = torch::arange(20);
  const auto at = [&](int64_t step) {
    auto stream = stream_at(step);
    return dataset->gather(Split::train, index, stream).at("x");
  };
  expect_equal(at(4), at(4));
  EXPECT_FALSE(at(4).equal(at(5)));
  // The definition: u < p.
  auto stream = stream_at(4);
  expect_equal(at(4), stream.uniform({20}, {1, 2, 3}).lt(grey(Split::train).narrow(0, 0, 20)).to(torch::kFloat));
}

TEST(Binarisation, EvaluationRowsAreTheSameHoweverTheyAreRead) {
  for (const auto binarize : {Binarize::once, Binarize::dynamic}) {
    const auto dataset = small(binarize);
    for (const Split split : {Split::valid, Split::test}) {
      const auto expected = whole(*dataset, split);
      auto stream = stream_at(77);
      std::vector<Tensor> backwards;
      for (int64_t row = dataset->size(split) - 1; row >= 0; --row) {
        backwards.push_back(dataset->gather(split, torch::tensor({row}), stream).at("x"));
      }
      expect_equal(torch::cat(backwards).flip(0), expected);
    }
    // Nothing was drawn from the caller's stream.
    auto used = stream_at(7), fresh = stream_at(7);
    dataset->gather(Split::valid, torch::arange(5), used);
    expect_equal(used.uniform({4}, {}), fresh.uniform({4}, {}));
  }
}

TEST(Binarisation, EvaluationRowsFollowTheRunsSeedOnly) {
  const auto a = small(Binarize::dynamic, 3), b = small(Binarize::dynamic, 3), c = small(Binarize::dynamic, 4);
  expect_equal(whole(*a, Split::valid), whole(*b, Split::valid));
  EXPECT_FALSE(whole(*a, Split::valid).equal(whole(*c, Split::valid)));
  // Static and dynamic runs are evaluated on the same bits.
  expect_equal(whole(*a, Split::test), whole(*small(Binarize::once, 3), Split::test));
}

TEST(Binarisation, StaticTrainingRowsDoNotChange) {
  const auto dataset = small(Binarize::once);
  auto first = stream_at(1), second = stream_at(2);
  expect_equal(dataset->gather(Split::train, torch::arange(50), first).at("x"),
               dataset->gather(Split::train, torch::arange(50), second).at("x"));
}

TEST(Binarisation, RealValuesAreRefused) {
  auto source = small_source();
  source.spec.at("x").kind = ValueKind::real;
  try {
    MemoryDataset(source, {.binarize = Binarize::dynamic}, 1);
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_STREQ(
        error.what(),
        "data.binarize: needs values in [0, 1], but field 'x' is real; leave it at none, or set data.values to unit if the "
        "values are in [0, 1]");
  }
}

TEST(TrainingMean, IsTheMeanOfTheTrainingRowsAlone) {
  const auto expected = grey(Split::train).to(torch::kDouble).mean(0);
  expect_close(small(Binarize::none)->training_mean(), expected, 1e-6);
  expect_close(small(Binarize::dynamic)->training_mean(), expected, 1e-6);
  for (const auto binarize : {Binarize::once, Binarize::threshold}) {
    const auto dataset = small(binarize);
    expect_close(dataset->training_mean(), whole(*dataset, Split::train).mean(0), 1e-6);
  }
  EXPECT_EQ(small(Binarize::none)->training_mean().scalar_type(), torch::kFloat);
}

TEST(Fingerprint, FollowsContentsAndOptions) {
  const auto base = small(Binarize::none)->fingerprint();
  EXPECT_EQ(base.size(), 64);
  EXPECT_EQ(base, small(Binarize::none, 9)->fingerprint());  // nothing here depends on the seed
  EXPECT_NE(base, small(Binarize::dynamic)->fingerprint());
  EXPECT_NE(small(Binarize::dynamic, 3)->fingerprint(), small(Binarize::dynamic, 4)->fingerprint());

  const auto changed = [](const std::function<void(RowSource&)>& change) {
    auto source = small_source();
    change(source);
    MemoryDataset dataset(source, {.batch_size = 77}, 3);
    dataset.load(at::kCPU);
    return dataset.fingerprint();
  };
  EXPECT_EQ(base, changed([](RowSource&) {}));  // the batch size doesn't count
  EXPECT_NE(base, changed([](RowSource& source) { source.rows[0] = torch::arange(1, 201); }));
  EXPECT_NE(base, changed([](RowSource& source) { source.spec.at("label").num_classes = 8; }));
  EXPECT_NE(base, changed([](RowSource& source) {
              source.read = [] {
                auto arrays = small_source().read();
                arrays.at("x")[299][0][1][2] += 1;
                return arrays;
              };
            }));
}

TEST(SplitRows, AreDisjointExhaustiveAndAscending) {
  const auto rows = split_rows(100, 20, 10, 5);
  EXPECT_EQ(rows[0].numel(), 70);
  EXPECT_EQ(rows[1].numel(), 20);
  EXPECT_EQ(rows[2].numel(), 10);
  expect_equal(std::get<0>(torch::cat({rows[0], rows[1], rows[2]}).sort()), torch::arange(100));
  for (const auto& part : rows) EXPECT_TRUE(part.diff().gt(0).all().item<bool>());
}

TEST(SplitRows, FollowTheSeedOnEveryMachine) {
  expect_equal(split_rows(20, 5, 4, 1)[1], split_rows(20, 5, 4, 1)[1]);
  EXPECT_FALSE(split_rows(20, 5, 4, 1)[1].equal(split_rows(20, 5, 4, 2)[1]));
  EXPECT_EQ(split_rows(20, 5, 4, 1)[2].numel(), 4);
}

TEST(SplitRows, TakesNoTestAndRefusesToLeaveNothing) {
  EXPECT_EQ(split_rows(5, 4, 0, 1)[2].numel(), 0);
  EXPECT_THROW(split_rows(5, 4, 1, 1), ConfigError);
  EXPECT_EQ(num_held_out(0.1, 1797), 180);
  EXPECT_EQ(num_held_out(0.1, 3), 1);
}

TEST(MemoryDataset, GivesTheSameBitsOnOneAndTwoThreads) {
  const int before = at::get_num_threads();
  const auto numbers_on = [](int threads) {
    at::set_num_threads(threads);
    const auto dataset = make_digits({.options = {.binarize = Binarize::dynamic}}, {.seed = 2});
    dataset->load(at::kCPU);
    return std::vector<Tensor>{whole(*dataset, Split::train), whole(*dataset, Split::valid), dataset->training_mean()};
  };
  const auto one = numbers_on(1), two = numbers_on(2);
  at::set_num_threads(before);
  for (size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(one[i].equal(two[i]));
}

}  // namespace
}  // namespace memory_dataset_test
}  // namespace elbo
