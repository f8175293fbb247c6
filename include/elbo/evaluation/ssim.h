#pragma once
#include "elbo/evaluation/metric.h"

namespace elbo {

/// Structural similarity, one value an example: the mean over the places where the window fits and over channels.
/// Source: Wang et al. 2004 (IEEE TIP 13(4), doi 10.1109/TIP.2003.819861), eq. 13; Gaussian window 11 x 11 of sigma 1.5, K1 =
/// 0.01, K2 = 0.03, population moments, range 1. No downsampling first. Reconstructions are clamped to [0, 1]. Shapes: [B, C, H,
/// W] twice -> [B] float64, at most 1. Throws: UsageError where a side is under 11.
Tensor ssim(const Tensor& originals, const Tensor& reconstructions);

/// The same over scales (multiscale_similarity of math/structural_similarity.h). Reconstructions are clamped to [0, 1]. Shapes:
/// as ssim's. Throws: UsageError where not even one scale fits or so many don't.
Tensor ms_ssim(const Tensor& originals, const Tensor& reconstructions, int64_t scales);

/// ssim. For pictures with values in [0, 1].
std::shared_ptr<Metric> make_ssim_metric(const NoConfig&);

/// ms_ssim and ms_ssim_db = -10 log10(1 - ms_ssim) of each example, at most 100. For pictures with values in [0, 1]; five scales
/// as published from 161 pixels on, of smaller ones those that fit, which the note says: such numbers stand beside no others.
std::shared_ptr<Metric> make_ms_ssim_metric(const NoConfig&);

}  // namespace elbo
