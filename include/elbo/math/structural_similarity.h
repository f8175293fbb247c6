#pragma once
#include <array>

#include "elbo/math/shapes.h"

namespace elbo {

/// Side of the window of structural_similarity: pictures are at least as high and wide.
inline constexpr int64_t kSimilarityWindow = 11;

/// The mean over channels and over the places where the window fits of structural similarity, one number an example.
/// Source: Wang et al. 2004 (IEEE TIP 13(4), doi 10.1109/TIP.2003.819861), eq. 13; Gaussian window 11 x 11 of sigma 1.5, K1 =
/// 0.01, K2 = 0.03, population moments, values in [0, 1]. No downsampling first.
/// Shapes: [B, C, H, W] twice -> [B], at most 1. Throws: ShapeError unless they are such pictures of one size.
Tensor structural_similarity(const Tensor& x, const Tensor& y);

/// Exponents of the scales of multiscale_similarity, the finest first.
inline constexpr std::array<double, 5> kSimilarityScales = {0.0448, 0.2856, 0.3001, 0.2363, 0.1333};

/// Of how many of them pictures of these sides are at least the window's: 5 from 161 pixels.
int64_t similarity_scales(int64_t height, int64_t width);

/// The product over scales, each at half the size of the one before, of contrast and structure, of the last of the whole
/// similarity, to the scales' exponents; the mean of that over channels. Fewer scales than 5 have theirs divided by their sum.
/// Source: Wang et al. 2003 (Asilomar, doi 10.1109/ACSSC.2003.1292216), eq. 7; scales by the mean of 2 x 2 pixels, negative
/// factors as 0 and a row of zeros around odd sides as the code that compression papers measure with, pytorch-msssim 1.0.0.
/// Shapes: [B, C, H, W] twice -> [B], 0 to 1. Gradient: to both; none through a factor that is 0.
/// Throws: ShapeError unless they are pictures of one size on which so many scales fit.
Tensor multiscale_similarity(const Tensor& x, const Tensor& y, int64_t scales = 5);

/// -10 log10(1 - similarity), at most 100.
Tensor similarity_decibels(const Tensor& similarity);

}  // namespace elbo
