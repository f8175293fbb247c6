#include "elbo/base/array.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "elbo/base/error.h"

namespace array_test {
namespace {
using namespace elbo;

TEST(Array, SizesAndNamesAreNumpys) {
  EXPECT_EQ(size_of(DType::u8), 1U);
  EXPECT_EQ(size_of(DType::boolean), 1U);
  EXPECT_EQ(size_of(DType::bf16), 2U);
  EXPECT_EQ(size_of(DType::i32), 4U);
  EXPECT_EQ(size_of(DType::f64), 8U);
  EXPECT_EQ(name_of(DType::f32), "float32");
  EXPECT_EQ(name_of(DType::bf16), "bfloat16");
  EXPECT_EQ(name_of(DType::boolean), "bool");
}

TEST(Array, NumElementsIsTheProduct) {
  EXPECT_EQ(num_elements(std::vector<int64_t>{}), 1);
  EXPECT_EQ(num_elements(std::vector<int64_t>{2, 3, 4}), 24);
  EXPECT_EQ(num_elements(std::vector<int64_t>{2, 0, std::numeric_limits<int64_t>::max()}), 0);
}

TEST(Array, NumElementsRefusesNegativesAndOverflow) {
  EXPECT_THROW(num_elements(std::vector<int64_t>{2, -1}), ShapeError);
  EXPECT_THROW(num_elements(std::vector<int64_t>{0, -1}), ShapeError);
  EXPECT_EQ(num_elements(std::vector<int64_t>{int64_t{1} << 31, int64_t{1} << 31}), int64_t{1} << 62);
  try {
    num_elements(std::vector<int64_t>{int64_t{1} << 32, int64_t{1} << 31});
    FAIL();
  } catch (const ShapeError& error) {
    EXPECT_STREQ(error.what(), "the shape [4294967296, 2147483648] has more than 2^63 - 1 elements");
  }
}

}  // namespace
}  // namespace array_test
