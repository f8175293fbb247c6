#pragma once
#include "elbo/evaluation/metric.h"

namespace elbo {

/// How often intervals of blocks that were calibrated on the valid split hold what is evaluated, and how wide they are: of pixels
/// (blocks of 1), of blocks of 4 and of whole maps. BlockConformal with alpha 0.05, a threshold for each place, all of a block
/// inside. conformal_coverage_N and its conformal_coverage_error_N = |coverage - 0.95| for each size, conformal_width_N in units
/// of the data. On the valid split itself every other row calibrates and the others are measured. Needs 19 rows to calibrate on.
/// Coverage is promised to be at least 0.95 and at most 1/(n + 1) more in the mean over calibration sets, of any model; what one
/// model buys is narrow intervals.
std::shared_ptr<Metric> make_conformal_metric(const NoConfig&);

}  // namespace elbo
