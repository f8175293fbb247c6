#include "elbo/base/array.h"

#include "elbo/base/error.h"
#include "elbo/base/text.h"

namespace elbo {

size_t size_of(DType type) {
  switch (type) {
    case DType::u8:
    case DType::i8:
    case DType::boolean:
      return 1;
    case DType::i16:
    case DType::f16:
    case DType::bf16:
      return 2;
    case DType::i32:
    case DType::f32:
      return 4;
    case DType::i64:
    case DType::f64:
      return 8;
  }
  throw UsageError("size_of: no such element type");
}

std::string_view name_of(DType type) {
  switch (type) {
    case DType::u8:
      return "uint8";
    case DType::i8:
      return "int8";
    case DType::i16:
      return "int16";
    case DType::i32:
      return "int32";
    case DType::i64:
      return "int64";
    case DType::f16:
      return "float16";
    case DType::bf16:
      return "bfloat16";
    case DType::f32:
      return "float32";
    case DType::f64:
      return "float64";
    case DType::boolean:
      return "bool";
  }
  throw UsageError("name_of: no such element type");
}

int64_t num_elements(std::span<const int64_t> shape) {
  int64_t product = 1;
  bool empty = false;
  bool overflow = false;
  for (const int64_t extent : shape) {
    if (extent < 0) throw ShapeError(text("a shape has the negative extent ", extent));
    empty = empty || extent == 0;
  }
  if (empty) return 0;  // however large its other extents
  for (const int64_t extent : shape) overflow = overflow || __builtin_mul_overflow(product, extent, &product);
  if (overflow) {
    std::vector<std::string> extents;
    for (const int64_t extent : shape) extents.push_back(std::to_string(extent));
    throw ShapeError("the shape [" + join(extents, ", ") + "] has more than 2^63 - 1 elements");
  }
  return product;
}

}  // namespace elbo
