#pragma once
#include <torch/types.h>

#include <string_view>

namespace elbo {

// The letters of every `Shapes:` line in this project.
//   B batch   K samples an example   R outer repetitions or strata   M modalities
//   D latent or code size   L latent layers   V codebook or vocabulary size   N flattened rows (B x positions)   G code groups
//   S mixture components   T sequence length   C, H, W image
// The order is [R, K, B, ...]; absent letters are left out.

using torch::Tensor;
using Shape = std::vector<int64_t>;

/// An extent that check_shape accepts whatever it is.
inline constexpr int64_t kAnyExtent = -1;

/// Throws ShapeError "WHAT: got [..], expected [..]" unless the tensor has exactly these extents.
void check_shape(const Tensor& tensor, at::IntArrayRef expected, std::string_view what);

/// The concatenation of two shapes.
Shape joined(at::IntArrayRef left, at::IntArrayRef right);

/// "[2, 3]".
std::string shape_text(at::IntArrayRef shape);

/// Sums all dimensions after the first `keep`.
Tensor sum_after(const Tensor& tensor, int64_t keep);

/// Sums the last `num_dims` dimensions; 0 returns the tensor itself.
Tensor sum_last(const Tensor& tensor, int64_t num_dims);

}  // namespace elbo
