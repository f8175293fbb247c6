#pragma once
#include "elbo/math/shapes.h"

namespace elbo {

/// Side of the window of structural_similarity: pictures are at least as high and wide.
inline constexpr int64_t kSimilarityWindow = 11;

/// The mean over channels and over the places where the window fits of structural similarity, one number an example.
/// Source: Wang et al. 2004 (IEEE TIP 13(4), doi 10.1109/TIP.2003.819861), eq. 13; Gaussian window 11 x 11 of sigma 1.5, K1 =
/// 0.01, K2 = 0.03, population moments, values in [0, 1]. No downsampling first.
/// Shapes: [B, C, H, W] twice -> [B], at most 1. Throws: ShapeError unless they are such pictures of one size.
Tensor structural_similarity(const Tensor& x, const Tensor& y);

}  // namespace elbo
