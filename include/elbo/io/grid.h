#pragma once
#include <cstdint>
#include <span>

#include "elbo/io/png.h"

namespace elbo {

struct GridLayout {
  int columns = 8;
  /// Pixels between tiles and around them, after scaling.
  int padding = 2;
  /// Each pixel becomes scale x scale pixels, so that 28 x 28 images can be seen.
  int scale = 1;
  /// Grey level of padding and of missing tiles.
  uint8_t background = 0;
};

/// The images as tiles, row by row; a grid with an RGB image in it is RGB.
/// Throws: UsageError for no images, unequal sizes or a layout below 1 (padding below 0).
Image make_grid(std::span<const Image> images, const GridLayout& layout = {});

}  // namespace elbo
