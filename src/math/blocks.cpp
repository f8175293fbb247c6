#include "elbo/math/blocks.h"

#include <algorithm>

namespace elbo {
namespace {

struct BlockGrid {
  int64_t height = 1, width = 1;  // of a block
  int64_t rows = 1, columns = 1;  // of blocks
};

BlockGrid block_grid(int64_t H, int64_t W, int64_t side) {
  BlockGrid grid{.height = side == 0 ? H : std::min(side, H), .width = side == 0 ? W : std::min(side, W)};
  grid.rows = (H + grid.height - 1) / grid.height;
  grid.columns = (W + grid.width - 1) / grid.width;
  return grid;
}

}  // namespace

Tensor in_blocks(const Tensor& maps, int64_t side, double fill) {
  const auto B = maps.size(0), C = maps.size(1), H = maps.size(2), W = maps.size(3);
  const auto grid = block_grid(H, W, side);
  const auto padded = torch::constant_pad_nd(maps, {0, grid.columns * grid.width - W, 0, grid.rows * grid.height - H}, fill);
  return padded.reshape({B, C, grid.rows, grid.height, grid.columns, grid.width})
      .permute({0, 2, 4, 1, 3, 5})
      .reshape({B, grid.rows, grid.columns, C * grid.height * grid.width});
}

Tensor block_sizes(at::IntArrayRef map, int64_t side) {
  return in_blocks(torch::ones(joined({1}, map), torch::kDouble), side, 0).sum(-1)[0];
}

Tensor over_places(const Tensor& blocks, int64_t H, int64_t W, int64_t side) {
  const auto grid = block_grid(H, W, side);
  return blocks.repeat_interleave(grid.height, 0).repeat_interleave(grid.width, 1).narrow(0, 0, H).narrow(1, 0, W);
}

}  // namespace elbo
