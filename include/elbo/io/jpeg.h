#pragma once
#include <filesystem>
#include <string>

#include "elbo/io/png.h"

namespace elbo {

/// What a reader of a photograph may leave out.
struct DecodeOptions {
  /// A JPEG may be decoded at a half, a quarter or an eighth of its size as long as its shorter side keeps this many pixels; 0
  /// decodes it as it is.
  int least_side = 0;
  /// One channel: 0.299 R + 0.587 G + 0.114 B, which a JPEG stores as it is.
  bool grey = false;
};

/// A baseline or progressive JPEG as grey or RGB; the orientation that a camera notes is not applied.
/// Throws: DataError with path, byte offset and, where pixels had come out, their row. Corrupt and truncated files, CMYK,
/// arithmetic coding, more than 2^26 pixels and more than the file's bytes can hold are refused, extents before anything is
/// allocated for them.
Image read_jpeg(const std::filesystem::path& path, const DecodeOptions& options = {});
/// A PNG or a JPEG, told by its content. Throws: DataError.
Image read_image(const std::filesystem::path& path, const DecodeOptions& options = {});

/// The image as a JPEG file's bytes, colour at half the resolution, quality 1 to 100. Throws: UsageError when the pixels disagree
/// with the extents.
std::string encode_jpeg(const Image& image, int quality = 90);

}  // namespace elbo
