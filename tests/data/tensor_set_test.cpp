#include "elbo/data/tensor_set.h"

#include <gtest/gtest.h>

#include "elbo/base/error.h"

namespace tensor_set_test {
using namespace elbo;
namespace {

Tensor rows_of(const Dataset& set, Split split) {
  Stream stream(0, "data", at::kCPU);
  return set.gather(split, torch::arange(set.size(split), torch::kLong), stream).at("x");
}

template <class Exception>
std::string refusal(const Tensor& x, const TensorSetOptions& options = {}, const Tensor& label = {}) {
  try {
    make_tensor_set(x, options, label);
  } catch (const Exception& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST(TensorSet, EveryRowIsInOneSplitWithItsLabel) {
  const auto x = torch::arange(40, torch::kFloat).reshape({20, 2});
  const auto set =
      make_tensor_set(x, {.split = {.valid_fraction = 0.2, .test_fraction = 0.1}, .seed = 3}, torch::arange(20) % 10);
  set->load(at::kCPU);
  EXPECT_EQ(set->size(Split::train), 14);
  EXPECT_EQ(set->size(Split::valid), 4);
  EXPECT_EQ(set->size(Split::test), 2);
  EXPECT_EQ(set->spec().at("x").shape, Shape{2});
  EXPECT_EQ(set->spec().at("x").kind, ValueKind::real);
  std::vector<Tensor> all;
  for (const auto split : {Split::train, Split::valid, Split::test}) {
    Stream stream(0, "data", at::kCPU);
    const auto batch = set->gather(split, torch::arange(set->size(split), torch::kLong), stream);
    EXPECT_TRUE(batch.at("label").equal((batch.at("x").select(1, 0) / 2).to(torch::kLong) % 10));
    all.push_back(batch.at("x"));
  }
  EXPECT_TRUE(std::get<0>(torch::cat(all).sort(0)).equal(x));
}

TEST(TensorSet, BytesAreGreyLevelsOfUnitData) {
  const auto x = torch::tensor({0, 51, 255, 102}, torch::kByte).reshape({4, 1});
  const auto set = make_tensor_set(x, {.split = {.valid_fraction = 0.25, .test_fraction = 0.25}, .kind = ValueKind::unit});
  EXPECT_EQ(set->spec().at("x").levels, 256);
  set->load(at::kCPU);
  const auto seen = torch::cat({rows_of(*set, Split::train), rows_of(*set, Split::valid), rows_of(*set, Split::test)}).flatten();
  EXPECT_TRUE(std::get<0>(seen.sort()).allclose(torch::tensor({0.0, 0.2, 0.4, 1.0}).to(torch::kFloat)));
}

TEST(TensorSet, TheCallersTensorMayChangeOnceLoaded) {
  auto x = torch::ones({10, 2});
  const auto set = make_tensor_set(x);
  set->load(at::kCPU);
  x.fill_(7);
  EXPECT_TRUE(rows_of(*set, Split::train).eq(1).all().item<bool>());
}

TEST(TensorSet, RefusesWhatTheKindIsNot) {
  EXPECT_EQ(refusal<ShapeError>(torch::ones({3})), "a data set's x: got [3], expected [N, event...]");
  EXPECT_EQ(refusal<ShapeError>(torch::ones({3, 2}), {}, torch::ones({2})), "a data set's label: got [2], expected [3]");
  EXPECT_NE(refusal<DataError>(torch::full({3, 2}, 1.5), {.kind = ValueKind::unit}).find("expected values in [0, 1]"),
            std::string::npos);
  EXPECT_NE(refusal<DataError>(torch::full({3, 2}, 0.5), {.kind = ValueKind::binary}).find("expected 0 and 1"),
            std::string::npos);
  EXPECT_NE(refusal<DataError>(torch::ones({3, 2}).div(0)).find("finite"), std::string::npos);
  EXPECT_NE(refusal<UsageError>(torch::ones({3, 2}), {.kind = ValueKind::table}), "");
  EXPECT_NE(refusal<ConfigError>(torch::ones({2, 2})), "");  // nothing is left to train on
}

}  // namespace tensor_set_test
