#pragma once
#include <cstdint>
#include <span>

#include "elbo/io/png.h"

namespace elbo::detail {

/// The image scaled until its shorter side is `size` pixels and cut to the square in the middle, by channel: out [channels, size,
/// size]. A triangle filter as wide as a new pixel (bilinear where the image grows): fine patterns become grey, not coarse
/// patterns. A grey image fills every channel. Throws: UsageError when `out` has another length or an RGB image meets one
/// channel.
void fit_image(const Image& image, int size, int channels, std::span<uint8_t> out);

}  // namespace elbo::detail
