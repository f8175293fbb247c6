#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace elbo {

/// Element types that our file formats share.
enum class DType { u8, i8, i16, i32, i64, f16, bf16, f32, f64, boolean };

/// Bytes of one element.
size_t size_of(DType type);
/// "uint8", "float32", … as numpy spells it ("bfloat16" for bf16).
std::string_view name_of(DType type);

/// A dense row-major array in host memory, little-endian: what file readers return. No torch here; math/tensors.h converts.
struct Array {
  DType dtype = DType::u8;
  std::vector<int64_t> shape = {};
  std::vector<std::byte> bytes = {};
};

/// A borrowed Array: what file writers take.
struct ArrayView {
  DType dtype = DType::u8;
  std::vector<int64_t> shape = {};
  std::span<const std::byte> bytes = {};
};

/// Product of the extents; throws ShapeError when one is negative or the product overflows int64.
int64_t num_elements(std::span<const int64_t> shape);

}  // namespace elbo
