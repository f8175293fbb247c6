#pragma once
#include "elbo/math/shapes.h"

namespace elbo {

// Maps cut into square blocks of `side` places, 0 = one block, the whole map. The last blocks of a row or column are smaller
// where the side doesn't divide the map.

/// The numbers of each block, over all channels; `fill` where the map ends within one.
/// Shapes: [B, C, H, W] -> [B, h, w, C * side * side].
Tensor in_blocks(const Tensor& maps, int64_t side, double fill);

/// How many numbers each block has. Shapes: -> [h, w] float64.
Tensor block_sizes(at::IntArrayRef map, int64_t side);

/// A block's number at each of its places. Shapes: [h, w] -> [H, W].
Tensor over_places(const Tensor& blocks, int64_t H, int64_t W, int64_t side);

}  // namespace elbo
