#include "elbo/evaluation/pictures.h"

#include <algorithm>
#include <cmath>

#include "elbo/io/grid.h"

namespace elbo {
namespace {

constexpr int64_t kVisiblePixels = 84;  // 28 x 28 three times enlarged
constexpr int kMaxReconstructionColumns = 10;
constexpr uint8_t kBackground = 64;  // between black and white, so that a tile's edge shows either way

bool are_pictures(const Tensor& t) { return t.dim() == 4 && t.numel() > 0 && (t.size(1) == 1 || t.size(1) == 3); }

std::vector<Image> to_images(const Tensor& pictures) {
  const auto pixels = (pictures.detach().to(at::kCPU, at::kFloat).nan_to_num(0).clamp(0, 1) * 255)
                          .round()
                          .to(at::kByte)
                          .permute({0, 2, 3, 1})
                          .contiguous();
  const auto bytes = pixels[0].numel();
  std::vector<Image> images;
  for (int64_t i = 0; i < pixels.size(0); ++i) {
    const auto* first = pixels.const_data_ptr<uint8_t>() + i * bytes;
    images.push_back({.width = static_cast<int>(pixels.size(2)),
                      .height = static_cast<int>(pixels.size(1)),
                      .channels = static_cast<int>(pixels.size(3)),
                      .pixels = std::vector<uint8_t>(first, first + bytes)});
  }
  return images;
}

GridLayout layout(const Image& tile, int columns) {
  const int64_t side = std::max(tile.width, tile.height);
  return {.columns = columns, .scale = static_cast<int>((kVisiblePixels + side - 1) / side), .background = kBackground};
}

}  // namespace

std::optional<Image> sample_grid(const Tensor& pictures, int columns) {
  if (!are_pictures(pictures)) return std::nullopt;
  if (columns == 0) columns = static_cast<int>(std::ceil(std::sqrt(static_cast<double>(pictures.size(0)))));
  const auto images = to_images(pictures);
  return make_grid(images, layout(images.front(), columns));
}

std::optional<Image> reconstruction_grid(const Tensor& originals, const Tensor& reconstructions) {
  if (!are_pictures(originals) || !are_pictures(reconstructions)) return std::nullopt;
  check_shape(reconstructions, originals.sizes(), "reconstructions");
  const auto above = to_images(originals), below = to_images(reconstructions);
  const auto columns = std::min<size_t>(above.size(), kMaxReconstructionColumns);
  auto missing = above.front();
  std::fill(missing.pixels.begin(), missing.pixels.end(), kBackground);
  std::vector<Image> tiles;
  for (size_t first = 0; first < above.size(); first += columns) {
    for (const auto* row : {&above, &below}) {
      for (size_t i = first; i < first + columns; ++i) tiles.push_back(i < row->size() ? (*row)[i] : missing);
    }
  }
  return make_grid(tiles, layout(tiles.front(), static_cast<int>(columns)));
}

}  // namespace elbo
