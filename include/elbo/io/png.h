#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace elbo {

/// 8-bit pixels, row by row, the channels of a pixel together: pixels[(y * width + x) * channels + c].
struct Image {
  int width = 0;
  int height = 0;
  /// 1 grey, 3 RGB.
  int channels = 1;
  std::vector<uint8_t> pixels = {};
};

/// The image as a PNG file's bytes. Throws: UsageError when the pixels disagree with the extents.
std::string encode_png(const Image& image);
/// Written atomically.
void write_png(const std::filesystem::path& path, const Image& image);
/// Any PNG as grey (1 channel) or RGB: palettes are expanded, 16 bits cut to 8, transparency dropped.
/// Throws: DataError with path and byte offset; more than 2^26 pixels are refused before anything is allocated.
Image read_png(const std::filesystem::path& path);

}  // namespace elbo
