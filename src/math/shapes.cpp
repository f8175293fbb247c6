#include "elbo/math/shapes.h"

#include <numeric>

#include "elbo/base/error.h"

namespace elbo {

std::string shape_text(at::IntArrayRef shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    text += (i == 0 ? "" : ", ");
    text += shape[i] == kAnyExtent ? "any" : std::to_string(shape[i]);
  }
  return text + "]";
}

void check_shape(const Tensor& tensor, at::IntArrayRef expected, std::string_view what) {
  if (!tensor.defined()) {
    throw ShapeError(std::string(what) + ": got no tensor, expected " + shape_text(expected));
  }
  bool same = tensor.dim() == static_cast<int64_t>(expected.size());
  for (size_t i = 0; same && i < expected.size(); ++i) {
    same = expected[i] == kAnyExtent || expected[i] == tensor.size(static_cast<int64_t>(i));
  }
  if (!same) {
    throw ShapeError(std::string(what) + ": got " + shape_text(tensor.sizes()) + ", expected " + shape_text(expected));
  }
}

Shape joined(at::IntArrayRef left, at::IntArrayRef right) {
  Shape shape(left.begin(), left.end());
  shape.insert(shape.end(), right.begin(), right.end());
  return shape;
}

Tensor sum_after(const Tensor& tensor, int64_t keep) { return sum_last(tensor, tensor.dim() - keep); }

Tensor sum_last(const Tensor& tensor, int64_t num_dims) {
  if (num_dims == 0) return tensor;
  Shape dims(num_dims);
  std::iota(dims.begin(), dims.end(), -num_dims);
  return tensor.sum(dims);
}

}  // namespace elbo
