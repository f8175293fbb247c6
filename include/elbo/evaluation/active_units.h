#pragma once
#include "elbo/evaluation/metric.h"
#include "elbo/models/family.h"

namespace elbo {

/// Burda et al. 2016, section 5.2: a unit is active where Var_x(E_q[z_d | x]) exceeds this.
inline constexpr double kActiveUnitThreshold = 0.01;

/// What the units of one latent layer carry.
struct LayerActivity {
  std::string name = {};
  Tensor variance_of_means = {};  // [D] float64: population variance over the evaluated rows
  Tensor kl_per_unit = {};        // [D] float64, mean over rows, nats; undefined where KL(q || p) does not split over units
  double kl = 0;                  // of the whole layer, mean over rows, nats
  std::string note = {};          // what was estimated rather than computed

  int64_t num_units() const { return variance_of_means.size(0); }
  int64_t num_active() const;
};

/// Posterior collapse at a glance: every layer, top layer first.
struct CollapsePanel {
  std::vector<LayerActivity> layers = {};
  int64_t num_units() const;
  int64_t num_active() const;
  /// Plain text: a line a layer, then its units by falling KL (by variance where there is none) as bars.
  std::string str(int64_t columns = 80) const;
};

/// Throws: UsageError when the model is not variational.
CollapsePanel collapse_panel(const EvaluationContext& context);

/// active_units and num_units, and active_units_LAYER where there are several layers.
std::shared_ptr<Metric> make_active_units_metric(const NoConfig&);

}  // namespace elbo
