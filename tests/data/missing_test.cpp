#include "../../src/data/missing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "data/files.h"
#include "elbo/base/error.h"
#include "elbo/data/memory_dataset.h"
#include "support/tensors.h"

namespace elbo {
namespace missing_test {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kRows = 6000;

/// Three modalities that are never zero of themselves, and a label; splits 4000, 1000 and 1000 in order.
RowSource three() {
  RowSource source;
  source.spec = {{"a", {.shape = {2}, .kind = ValueKind::real}},
                 {"b", {.shape = {1, 2, 2}, .kind = ValueKind::unit, .levels = 256}},
                 {"c", {.shape = {}, .kind = ValueKind::category, .num_classes = 5}},
                 {"label", {.shape = {}, .kind = ValueKind::category, .num_classes = 2}}};
  source.rows = {torch::arange(0, 4000), torch::arange(4000, 5000), torch::arange(5000, kRows)};
  source.read = [] {
    return std::map<std::string, Tensor>{{"a", torch::full({kRows, 2}, 3.0f)},
                                         {"b", torch::full({kRows, 1, 2, 2}, 51, torch::kByte)},
                                         {"c", torch::full({kRows}, 4, torch::kByte)},
                                         {"label", torch::ones({kRows}, torch::kByte)}};
  };
  return source;
}

std::shared_ptr<MemoryDataset> with(const MissingOptions& missing, uint64_t seed = 3, RowSource source = three()) {
  auto dataset = std::make_shared<MemoryDataset>(std::move(source), DataOptions{.missing = missing}, seed);
  dataset->load(at::kCPU);
  return dataset;
}

Batch all_of(const Dataset& dataset, Split split, int64_t step = 0) {
  Stream stream(1, "data", at::kCPU);
  stream.rekey(step);
  return dataset.gather(split, data_test::all_rows(dataset, split), stream);
}

/// [N, 3] of a, b, c.
Tensor there(const Dataset& dataset, Split split, int64_t step = 0) {
  const auto batch = all_of(dataset, split, step);
  return torch::stack({batch.fields.at("a").present, batch.fields.at("b").present, batch.fields.at("c").present}, 1);
}

std::string refusal(const MissingOptions& missing, RowSource source = three()) {
  try {
    with(missing, 3, std::move(source));
  } catch (const Error& error) {
    return error.what();
  }
  return "was accepted";
}

TEST(Missing, NothingIsMissingUnlessAsked) {
  const auto dataset = with({});
  EXPECT_FALSE(dataset->spec().at("a").may_be_missing);
  const auto batch = all_of(*dataset, Split::train);
  for (const auto& [name, field] : batch.fields) EXPECT_FALSE(field.present.defined()) << name;
  EXPECT_EQ(dataset->fingerprint(), with({}, 4)->fingerprint());
}

TEST(Missing, WhatIsMissingIsZeroAndTheRestIsAsItWas) {
  const auto dataset = with({.rate = 0.5});
  for (const Split split : {Split::train, Split::valid, Split::test}) {
    const auto batch = all_of(*dataset, split);
    for (const auto& [name, whole] : {std::pair("a", 3.0), std::pair("b", 0.2), std::pair("c", 4.0)}) {
      const auto& field = batch.fields.at(name);
      EXPECT_TRUE(dataset->spec().at(name).may_be_missing);
      ASSERT_EQ(field.present.scalar_type(), torch::kBool);
      check_shape(field.present, {batch.size()}, name);
      const auto expected = field.present.to(torch::kDouble).mul(whole).view({-1, 1});
      expect_close(field.value.to(torch::kDouble).reshape({batch.size(), -1}),
                   expected.expand({batch.size(), field.value.numel() / batch.size()}), 1e-6);
    }
    EXPECT_FALSE(batch.fields.at("label").present.defined());
    EXPECT_TRUE(batch.at("label").eq(1).all().item<bool>());
  }
  EXPECT_FALSE(dataset->spec().at("label").may_be_missing);
}

TEST(Missing, PatternsHaveTheProbabilitiesOfRedrawingEmptyRows) {
  const std::array rates = {0.3, 0.6, 0.9};
  const auto patterns = there(*with({.rates = {{"a", rates[0]}, {"b", rates[1]}, {"c", rates[2]}}}), Split::train);
  EXPECT_TRUE(patterns.any(1).all().item<bool>());
  const double empty = rates[0] * rates[1] * rates[2];
  for (int64_t pattern = 1; pattern < 8; ++pattern) {
    double expected = 1 / (1 - empty);
    auto same = torch::ones({4000}, torch::kBool);
    for (int64_t m = 0; m < 3; ++m) {
      const bool present = (pattern >> m & 1) != 0;
      expected *= present ? 1 - rates[static_cast<size_t>(m)] : rates[static_cast<size_t>(m)];
      same = same.logical_and(patterns.select(1, m).eq(present));
    }
    EXPECT_NEAR(same.sum().item<double>() / 4000, expected, 4 * std::sqrt(expected / 4000)) << "pattern " << pattern;
  }
}

TEST(Missing, DrawPatternsInvertsTheCumulativeProbabilitiesOfTheFirst) {
  // P(first = 0) = 0.5, P(first = 1) = 0.5 * 0.2 = 0.1, nobody 0.4: of the rest 5/6 and 1/6.
  const auto rates = values({0.5, 0.8, 0.5, 0.8, 1, 0.8, 1, 1}, {4, 2});
  const auto u = values({0.0, 0.7, 5.0 / 6 - 1e-9, 0.9, 0.9, 5.0 / 6 + 1e-9, 0, 0, 0, 0, 0, 0}, {4, 3});
  const auto drawn = detail::draw_patterns(rates, u, detail::Guarantee::at_least_one);
  expect_equal(drawn, values({1, 0, 0, 1, 0, 1, 0, 0}, {4, 2}).to(torch::kBool));
  expect_equal(detail::draw_patterns(rates, u, detail::Guarantee::none),
               values({0, 0, 1, 1, 0, 0, 0, 0}, {4, 2}).to(torch::kBool));
}

TEST(Missing, ByModality) {
  const auto patterns = there(*with({.rate = 0.2, .rates = {{"b", 1}, {"c", 0}}}), Split::valid).to(torch::kDouble).mean(0);
  EXPECT_NEAR(patterns[0].item<double>(), 0.8, 0.06);
  EXPECT_EQ(patterns[1].item<double>(), 0);
  EXPECT_EQ(patterns[2].item<double>(), 1);
}

TEST(Missing, InBlocksOfConsecutiveRows) {
  const auto patterns = there(*with({.rate = 0.5, .block = 100}), Split::train);
  const auto blocks = patterns.view({40, 100, 3});
  EXPECT_TRUE(blocks.eq(blocks.narrow(1, 0, 1)).all().item<bool>());
  EXPECT_GT(blocks.select(1, 0).narrow(0, 1, 39).ne(blocks.select(1, 0).narrow(0, 0, 39)).any(1).sum().item<int64_t>(), 20);
}

TEST(Missing, FollowsTheRunsSeedAndNothingElse) {
  const auto first = with({.rate = 0.5}), again = with({.rate = 0.5}), other = with({.rate = 0.5}, 4);
  for (const Split split : {Split::train, Split::valid, Split::test}) {
    expect_equal(there(*first, split, 0), there(*again, split, 7));  // whatever the step's stream
    EXPECT_FALSE(there(*first, split).equal(there(*other, split)));
  }
  EXPECT_FALSE(there(*first, Split::valid).equal(there(*first, Split::test)));
  EXPECT_EQ(first->fingerprint(), again->fingerprint());
  EXPECT_NE(first->fingerprint(), other->fingerprint());
  // A row's pattern is its own, whatever batch it comes in.
  Stream stream(5, "data", at::kCPU);
  const auto index = torch::tensor({17, 3, 17}, torch::kLong);
  expect_equal(first->gather(Split::train, index, stream).fields.at("b").present,
               there(*first, Split::train).select(1, 1).index_select(0, index));
}

TEST(Missing, DynamicPatternsAreAFunctionOfTheStepInTrainingOnly) {
  const auto dataset = with({.rate = 0.5, .draw = MissingDraw::dynamic});
  expect_equal(there(*dataset, Split::train, 4), there(*dataset, Split::train, 4));
  EXPECT_FALSE(there(*dataset, Split::train, 4).equal(there(*dataset, Split::train, 5)));
  EXPECT_TRUE(there(*dataset, Split::train, 4).any(1).all().item<bool>());
  EXPECT_NEAR(there(*dataset, Split::train).to(torch::kDouble).mean().item<double>(), 0.5 / 0.875, 0.02);
  expect_equal(there(*dataset, Split::test, 4), there(*dataset, Split::test, 5));
  expect_equal(there(*dataset, Split::test), there(*with({.rate = 0.5}), Split::test));
  EXPECT_NE(dataset->fingerprint(), with({.rate = 0.5, .draw = MissingDraw::dynamic}, 4)->fingerprint());
}

TEST(Missing, EvaluationRowsStayWholeWhereAsked) {
  const auto dataset = with({.rate = 0.5, .splits = MissingSplits::train});
  EXPECT_FALSE(all_of(*dataset, Split::test).fields.at("a").present.defined());
  expect_equal(there(*dataset, Split::train), there(*with({.rate = 0.5}), Split::train));
}

TEST(Missing, WithoutTheGuaranteeAnEmptyRowIsRefusedByItsIndex) {
  const auto message = refusal({.rate = 0.5, .guarantee_one = false});
  Stream stream(3, "missing", at::kCPU);
  stream.rekey(0);
  const auto u = stream.uniform({4000}, {4}).narrow(1, 0, 3);
  const auto first = u.lt(0.5).all(1).nonzero()[0][0].item<int64_t>();
  EXPECT_EQ(message, "data.missing: row " + std::to_string(first) +
                         " of the training split has none of a, b, c; set guarantee_one: true, or lower the rates");
  EXPECT_THAT(refusal({.rate = 1}),
              HasSubstr("row 0 of the training split has none of a, b, c; leave the row out, or lower the"));
  EXPECT_EQ(refusal({.rates = {{"a", 0.5}}, .guarantee_one = false}), "was accepted");
}

TEST(Missing, NamesThatAreNoModalityAreRefused) {
  EXPECT_THAT(refusal({.rates = {{"d", 0.5}}}), HasSubstr("data.missing.rates: no modality is named 'd'"));
  EXPECT_THAT(refusal({.rates = {{"label", 0.5}}}), HasSubstr("'label'"));
  EXPECT_THAT(refusal({.rate = 0.5, .modalities = {"labl"}}), HasSubstr("no field 'labl', did you mean 'label'? It has a, b, c"));
  EXPECT_THAT(refusal({.rate = 0.5, .modalities = {"a"}}), HasSubstr("a is the only one"));
  EXPECT_EQ(refusal({.rates = {{"label", 0.5}}, .modalities = {"a", "label"}}), "was accepted");
}

TEST(Missing, GapsOfTheDataItselfStayAndCount) {
  auto source = three();
  source.present["a"] = torch::arange(kRows).remainder(2).eq(0);
  for (const int64_t block : {1, 50}) {
    const auto dataset = with({.rate = 0.7, .block = block}, 3, source);
    const auto patterns = there(*dataset, Split::train);
    EXPECT_FALSE(patterns.select(1, 0).logical_and(torch::arange(4000).remainder(2).eq(1)).any().item<bool>());
    EXPECT_TRUE(patterns.any(1).all().item<bool>());
    EXPECT_TRUE(patterns.select(1, 0).any().item<bool>());
  }
  const auto untouched = with({}, 3, source);
  EXPECT_TRUE(untouched->spec().at("a").may_be_missing);
  EXPECT_FALSE(untouched->spec().at("b").may_be_missing);
  expect_equal(there(*untouched, Split::valid).select(1, 0), torch::arange(4000, 5000).remainder(2).eq(0));
  source.present["b"] = source.present["c"] = source.present["a"];
  EXPECT_THAT(refusal({}, source), HasSubstr("row 1 of the training split has none of a, b, c; leave the row out"));
}

TEST(Missing, TheTrainingMeanIsOfTheRowsThatHaveX) {
  auto source = three();
  source.spec["x"] = {.shape = {1}, .kind = ValueKind::real};
  source.read = [read = source.read] {
    auto arrays = read();
    arrays["x"] = torch::arange(kRows).to(torch::kFloat).unsqueeze(1);
    return arrays;
  };
  const auto dataset = with({.rate = 0.5}, 3, source);
  const auto x = all_of(*dataset, Split::train).fields.at("x");
  expect_close(dataset->training_mean(), x.value.to(torch::kDouble).sum(0) / x.present.sum(), 1e-6);
  EXPECT_FALSE(with({})->training_mean().defined());
}

TEST(Missing, IsAnOptionOfEverySetOfImages) {
  const auto dataset = data_test::from_yaml("{type: digits, missing: {rate: 0.3, rates: {label: 0.5}}}", {.seed = 1});
  dataset->load(at::kCPU);
  Stream stream(1, "data", at::kCPU);
  const auto batch = dataset->gather(Split::train, torch::arange(1000), stream);
  // One of the two stays: P(label) = 0.5 / 0.85.
  EXPECT_NEAR(batch.fields.at("label").present.to(torch::kDouble).mean().item<double>(), 0.5 / 0.85, 0.06);
  EXPECT_NEAR(batch.fields.at("x").present.to(torch::kDouble).mean().item<double>(), 0.7 / 0.85, 0.06);
  const auto problem = [](const std::string& missing) {
    try {
      data_test::from_yaml("{type: digits, missing: " + missing + "}", {});
    } catch (const ConfigError& error) {
      return std::string(error.what());
    }
    return std::string("was accepted");
  };
  EXPECT_THAT(problem("{rate: 1.5}"), HasSubstr("data.missing.rate: must be in [0, 1], got 1.5"));
  EXPECT_THAT(problem("{rates: {x: -1}}"), HasSubstr("data.missing.rates.x: must be in [0, 1], got -1"));
  EXPECT_THAT(problem("{rate: 0.5, draw: dynamic, block: 9}"), HasSubstr("data.missing.block: rows that are drawn whenever"));
  EXPECT_THAT(problem("{rate: 0.5, draw: dynamic, guarantee_one: false}"), HasSubstr("data.missing.guarantee_one: "));
}

}  // namespace
}  // namespace missing_test
}  // namespace elbo
