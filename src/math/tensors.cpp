#include "elbo/math/tensors.h"

#include <cstring>

#include "elbo/base/error.h"

namespace elbo {
namespace {

struct Pair {
  DType ours;
  at::ScalarType theirs;
};
constexpr Pair kPairs[] = {{DType::u8, at::kByte},       {DType::i8, at::kChar},   {DType::i16, at::kShort},
                           {DType::i32, at::kInt},       {DType::i64, at::kLong},  {DType::f16, at::kHalf},
                           {DType::bf16, at::kBFloat16}, {DType::f32, at::kFloat}, {DType::f64, at::kDouble},
                           {DType::boolean, at::kBool}};

}  // namespace

DType dtype_of(at::ScalarType type) {
  for (const auto& pair : kPairs) {
    if (pair.theirs == type) return pair.ours;
  }
  throw UsageError(std::string("no file format here stores tensors of type ") + c10::toString(type));
}

at::ScalarType scalar_type_of(DType type) {
  for (const auto& pair : kPairs) {
    if (pair.ours == type) return pair.theirs;
  }
  throw UsageError("unknown element type");
}

Tensor to_tensor(const Array& array) {
  auto tensor = torch::empty(array.shape, torch::dtype(scalar_type_of(array.dtype)));
  if (!array.bytes.empty()) std::memcpy(tensor.data_ptr(), array.bytes.data(), array.bytes.size());
  return tensor;
}

Tensor to_tensor(Array&& array) {
  auto* owner = new Array(std::move(array));
  return torch::from_blob(
      owner->bytes.data(), owner->shape, [owner](void*) { delete owner; }, torch::dtype(scalar_type_of(owner->dtype)));
}

ArrayView view_of(const Tensor& host_tensor) {
  if (!host_tensor.device().is_cpu() || !host_tensor.is_contiguous()) {
    throw UsageError("a tensor must be contiguous in host memory to be viewed as an array; call .cpu().contiguous() first");
  }
  return {.dtype = dtype_of(host_tensor.scalar_type()),
          .shape = host_tensor.sizes().vec(),
          .bytes = {static_cast<const std::byte*>(host_tensor.const_data_ptr()), host_tensor.nbytes()}};
}

}  // namespace elbo
