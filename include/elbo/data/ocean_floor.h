#pragma once
#include "elbo/data/dataset.h"
#include "elbo/data/options.h"

namespace elbo {

/// Depth maps of a made-up sea floor, coarse and fine: a fractal relief, crests of ridges, a slope, seamounts and winding
/// canyons, made in memory from the run's seed. Depths are in [0, 1], 0 the deepest. Fields: target [1, size, size]; x [1, size /
/// factor, size / factor], the means of its squares with `noise` added, as soundings from a ship would be. Source: after the task
/// of Minoza 2025 (arXiv:2504.14372). Differs: that paper's maps are soundings of real sea floors; numbers on this set can't be
/// compared with published ones.
struct OceanFloorConfig {
  int64_t rows = 4'000;
  int64_t size = 64;
  int64_t factor = 2;
  double roughness = 0.5;
  double noise = 0.005;
  int64_t batch_size = 32;
  SplitOptions split = {};

  template <class F>
  void fields(F& field) {
    field("rows", rows, "maps in all", between(10, 10'000'000));
    field("size", size, "height and width of the fine maps", between(16, 1024));
    field("factor", factor, "how many times finer they are", between(1, 16));
    field("roughness", roughness, "what an octave of the relief has of the height of the one twice as coarse",
          more_than(0).below(1));
    field("noise", noise, "standard deviation of what is added to the coarse depths", at_least(0).at_most(1));
    field("batch_size", batch_size, "rows a training batch", between(1, 1 << 20));
    split.fields(field);
  }
  void check(Relations& relations) const {
    split.check(relations);
    if (size % factor != 0) relations.problem("factor", "doesn't divide size");
  }
};

std::shared_ptr<Dataset> make_ocean_floor(const OceanFloorConfig& config, const DataContext& context);

}  // namespace elbo
