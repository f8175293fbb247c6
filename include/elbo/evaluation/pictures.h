#pragma once
#include <optional>

#include "elbo/io/png.h"
#include "elbo/math/shapes.h"

namespace elbo {

/// Pictures are [N, C, H, W] with one or three channels and values in [0, 1] (others are clamped, NaN is black); of anything
/// else, a vector of 784 numbers included, there is none. Small pictures are enlarged by a whole factor. 0 columns: a square.
std::optional<Image> sample_grid(const Tensor& pictures, int columns = 0);

/// Rows of originals, each with the row of its reconstructions below.
std::optional<Image> reconstruction_grid(const Tensor& originals, const Tensor& reconstructions);

}  // namespace elbo
