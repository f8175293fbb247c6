#pragma once
#include "elbo/evaluation/metric.h"

namespace elbo {

/// Peak signal-to-noise ratio of reconstructions, one value an example: 10 log10(1 / mean squared error), values in [0, 1].
/// Reconstructions are clamped to [0, 1], as a screen would; an error below 1e-10 counts as 100 dB, so that an exact copy has a
/// number. Shapes: [B, event...] twice -> [B] float64. Units: dB.
Tensor psnr(const Tensor& originals, const Tensor& reconstructions);

/// psnr_db. For data in [0, 1].
std::shared_ptr<Metric> make_psnr_metric(const NoConfig&);

}  // namespace elbo
