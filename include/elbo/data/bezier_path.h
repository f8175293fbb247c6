#pragma once
#include <utility>

#include "elbo/math/shapes.h"

namespace elbo {

// A closed path is S cubic Bezier segments, [S, 8]: x0 y0 x1 y1 x2 y2 x3 y3, each beginning where the one before it ends. The
// square [-1, 1] x [-1, 1] is the picture, y downwards.

/// Points at the parameters t [T], spread over every segment. Shapes: segments [..., S, 8] -> [..., S, T, 2].
/// Gradient: through the segments.
Tensor points_on_path(const Tensor& segments, const Tensor& t);

/// The two halves of each segment at t, by de Casteljau's construction. Shapes: [..., 8] both.
std::pair<Tensor, Tensor> split_segments(const Tensor& segments, double t);

/// The enclosed area with its sign (counter-clockwise in a plane with y upwards is positive), exact, by Green's theorem.
/// Shapes: segments [S, 8].
double path_area(const Tensor& segments);

/// The inside of a path by the even-odd rule: of `supersampling`^2 samples in each pixel, how many are inside.
/// Shapes: segments [S, 8] on the host -> [size, size] bytes. Throws: UsageError for a supersampling outside 1..15.
Tensor rasterise_path(const Tensor& segments, int64_t size, int64_t supersampling = 4);

}  // namespace elbo
