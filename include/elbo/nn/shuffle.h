#pragma once
#include "elbo/math/shapes.h"

namespace elbo {

// Shortcuts without parameters for blocks that change the resolution: Chen et al. 2025 (arXiv:2410.10733), section 3.1. A block
// adds them to a convolution with pixel_unshuffle or pixel_shuffle by 2. Where both channel counts divide each other, the way
// down undoes the way up.

/// Places of each 2x2 square become channels, then groups of neighbouring channels are averaged.
/// Shapes: [B, C, 2H, 2W] -> [B, channels, H, W]. Throws: ShapeError unless height and width are even and channels divide 4 C.
Tensor unshuffle_average(const Tensor& x, int64_t channels);

/// Channels are repeated next to each other, then spread over 2x2 squares.
/// Shapes: [B, C, H, W] -> [B, channels, 2H, 2W]. Throws: ShapeError unless C divides 4 channels.
Tensor repeat_shuffle(const Tensor& x, int64_t channels);

// Heads of a decoder whose output is twice as high and wide as its features: Yu et al. 2025 (arXiv:2509.24142).

/// Squares of channels are spread over 2x2 squares of places, then each channel is repeated, so that there are as many as before.
/// Shapes: [B, C, H, W] -> [B, C, 2H, 2W]. Throws: ShapeError unless C is a multiple of 4.
Tensor shuffle_repeat(const Tensor& x);

}  // namespace elbo
