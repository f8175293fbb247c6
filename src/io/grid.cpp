#include "elbo/io/grid.h"

#include <algorithm>
#include <string>

#include "elbo/base/error.h"

namespace elbo {
namespace {

void check(std::span<const Image> images, const GridLayout& layout) {
  if (images.empty()) throw UsageError("a grid of no images; pass at least one");
  if (layout.columns < 1 || layout.padding < 0 || layout.scale < 1) {
    throw UsageError("a grid of " + std::to_string(layout.columns) + " columns, padding " + std::to_string(layout.padding) +
                     ", scale " + std::to_string(layout.scale) + "; expected at least 1, 0 and 1");
  }
  for (const Image& image : images) {
    const bool channels_ok = image.channels == 1 || image.channels == 3;
    const auto expected =
        static_cast<size_t>(image.width) * static_cast<size_t>(image.height) * static_cast<size_t>(image.channels);
    if (image.width < 1 || image.height < 1 || !channels_ok || image.pixels.size() != expected) {
      throw UsageError("an image of a grid has pixels that disagree with its extents");
    }
    if (image.width != images[0].width || image.height != images[0].height) {
      throw UsageError("the images of a grid differ in size: " + std::to_string(image.width) + " x " +
                       std::to_string(image.height) + " and " + std::to_string(images[0].width) + " x " +
                       std::to_string(images[0].height));
    }
  }
}

/// Left or upper edge of tile i along one axis.
int64_t edge(int64_t i, int64_t extent, const GridLayout& layout) {
  return layout.padding + i * (extent * layout.scale + layout.padding);
}

}  // namespace

Image make_grid(std::span<const Image> images, const GridLayout& layout) {
  check(images, layout);
  const auto count = static_cast<int64_t>(images.size());
  const int64_t columns = std::min<int64_t>(layout.columns, count);
  const int64_t rows = (count + columns - 1) / columns;
  const int64_t tile_width = images[0].width;
  const int64_t tile_height = images[0].height;
  const int64_t width = edge(columns, tile_width, layout);
  const int64_t height = edge(rows, tile_height, layout);
  constexpr int64_t kMaxExtent = 1 << 16;
  if (width > kMaxExtent || height > kMaxExtent) {
    throw UsageError("a grid of " + std::to_string(width) + " x " + std::to_string(height) +
                     " pixels is too large; use fewer images or a smaller scale");
  }
  const bool rgb = std::any_of(images.begin(), images.end(), [](const Image& image) { return image.channels == 3; });
  Image grid = {.width = static_cast<int>(width), .height = static_cast<int>(height), .channels = rgb ? 3 : 1};
  grid.pixels.assign(static_cast<size_t>(width * height * grid.channels), layout.background);
  for (int64_t i = 0; i < count; ++i) {
    const Image& image = images[static_cast<size_t>(i)];
    const int64_t left = edge(i % columns, tile_width, layout);
    const int64_t top = edge(i / columns, tile_height, layout);
    for (int64_t y = 0; y < tile_height * layout.scale; ++y) {
      for (int64_t x = 0; x < tile_width * layout.scale; ++x) {
        const int64_t source = (y / layout.scale * tile_width + x / layout.scale) * image.channels;
        const int64_t target = ((top + y) * width + left + x) * grid.channels;
        for (int64_t c = 0; c < grid.channels; ++c) {
          const int64_t from = source + (image.channels == 3 ? c : 0);
          grid.pixels[static_cast<size_t>(target + c)] = image.pixels[static_cast<size_t>(from)];
        }
      }
    }
  }
  return grid;
}

}  // namespace elbo
