#pragma once
#include "elbo/math/shapes.h"

namespace elbo {

/// What nearest_code found for each row. On the device of z.
struct Nearest {
  Tensor index = {};       // int64 [N]
  Tensor distance = {};    // [N], squared; of the type it was computed in
  Tensor second = {};      // int64 [N], of nearest_two_codes only: the second best, -1 where V = 1
  Tensor not_finite = {};  // int64 []: rows without a finite distance (NaN, infinity, overflow); their index is 0
};

/// The code nearest to each row in Euclidean distance: van den Oord et al. 2017 (arXiv:1711.00937), eq. 1.
/// Blocks of |e|^2 / 2 - z e, both about the codebook's mean, with a running minimum: N x V numbers are never held, only a packed
/// copy of the codes. The distance itself is taken from z - e afterwards. Of codes at exactly the same computed distance the
/// lowest index wins. The number of threads doesn't change a bit. Shapes: z [N, D], codes [V, D]. Types: float64 for float64 z,
/// everything else in float32. Gradient: none. Throws: ShapeError for other shapes, no code at all, or two devices.
Nearest nearest_code(const Tensor& z, const Tensor& codes);

/// The same with the second best, for tests of near ties and for splitting rules.
Nearest nearest_two_codes(const Tensor& z, const Tensor& codes);

}  // namespace elbo
