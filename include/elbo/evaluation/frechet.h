#pragma once
#include "elbo/evaluation/metric.h"

namespace elbo {

/// Mean and covariance (by n - 1) of rows, in float64 on the host.
struct FeatureMoments {
  Tensor mean = {};        // [F]
  Tensor covariance = {};  // [F, F]
  int64_t count = 0;
};

/// Adds up rows, batch after batch.
class MomentSums {
 public:
  /// Shapes: [B, F].
  void add(const Tensor& features);
  /// Throws: UsageError for fewer than two rows.
  FeatureMoments moments() const;

 private:
  Tensor origin_ = {};  // sums are taken about the first batch's mean: no digits are lost to a large one
  Tensor sum_ = {}, product_ = {};
  int64_t count_ = 0;
};

/// Squared Fréchet (2-Wasserstein) distance of the normals with these moments: |m1 - m2|^2 + tr(C1 + C2 - 2 (C1^1/2 C2
/// C1^1/2)^1/2), by symmetric eigendecompositions, covariances without full rank included.
/// Source: Dowson & Landau 1982; Heusel et al. 2017 (arXiv:1706.08500), eq. 6.
double frechet_distance(const FeatureMoments& a, const FeatureMoments& b);

/// frechet_classifier(m): the distance between real x_m of the split and means of p(x_m | z), z from the prior, in the
/// penultimate features of the toolkit's own classifier of m. With subsets asked for also frechet_classifier(A->m), z from q(z |
/// x_A). Not FID: another network sees the images, so only numbers of this toolkit, on the same data, split and number of rows
/// compare.
std::shared_ptr<Metric> make_frechet_classifier_metric(const NoConfig&);

}  // namespace elbo
