#include "elbo/math/tensors.h"

#include <cstring>

#include "elbo/base/error.h"
#include "support/tensors.h"

namespace elbo::tensors_test {

Array array_of(const std::vector<float>& numbers, std::vector<int64_t> shape) {
  Array array{.dtype = DType::f32, .shape = std::move(shape), .bytes = std::vector<std::byte>(numbers.size() * sizeof(float))};
  std::memcpy(array.bytes.data(), numbers.data(), array.bytes.size());
  return array;
}

TEST(Tensors, CopyAndMoveGiveTheSameNumbers) {
  auto array = array_of({1, 2, 3, 4, 5, 6}, {2, 3});
  const auto copied = to_tensor(array);
  const auto moved = to_tensor(std::move(array));
  expect_equal(copied, torch::tensor({{1.F, 2.F, 3.F}, {4.F, 5.F, 6.F}}));
  expect_equal(moved, copied);
}

TEST(Tensors, ViewRoundTripsEveryType) {
  for (const auto type : {DType::u8, DType::i8, DType::i16, DType::i32, DType::i64, DType::f16, DType::bf16, DType::f32,
                          DType::f64, DType::boolean}) {
    const auto tensor = torch::arange(4).to(scalar_type_of(type)).view({2, 2});
    const auto view = view_of(tensor);
    EXPECT_EQ(view.dtype, type);
    EXPECT_EQ(view.bytes.size(), 4 * size_of(type));
    expect_equal(to_tensor(Array{view.dtype, view.shape, {view.bytes.begin(), view.bytes.end()}}), tensor);
  }
}

TEST(Tensors, EmptyArrayIsAnEmptyTensor) { EXPECT_EQ(to_tensor(array_of({}, {0, 5})).sizes(), at::IntArrayRef({0, 5})); }

TEST(Tensors, RefusesWhatHasNoFlatView) {
  EXPECT_THROW(view_of(torch::zeros({2, 3}).t()), UsageError);
  EXPECT_THROW(view_of(torch::zeros({2}, torch::kComplexFloat)), UsageError);
}

}  // namespace elbo::tensors_test
