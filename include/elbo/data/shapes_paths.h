#pragma once
#include "elbo/data/dataset.h"
#include "elbo/data/missing.h"
#include "elbo/data/options.h"

namespace elbo {

/// Closed vector paths and their pictures: ellipses, polygons and stars of random size, place, proportions and rotation, their
/// control points shaken; made in memory from the run's seed. A path of S cubic Bezier segments begins at a corner and goes round
/// in one direction. Fields: path [segments, 8], see bezier_path.h; image [1, size, size], filled by the even-odd rule with
/// 4 x 4 samples a pixel (17 grey levels); label: 0 ellipse, 1 polygon, 2 star.
/// Source: after Zhang et al. 2024 (arXiv:2405.10317). Differs: its paths are those of drawings from the web, these are made up.
struct ShapesPathsConfig {
  int64_t rows = 10'000;
  int64_t segments = 8;
  int64_t size = 64;
  double noise = 0.03;
  int64_t batch_size = 128;
  SplitOptions split = {};
  MissingOptions missing = {};

  template <class F>
  void fields(F& field) {
    field("rows", rows, "paths in all", between(10, 10'000'000));
    field("segments", segments, "cubic segments of a path", between(6, 64));
    field("size", size, "height and width of the pictures", between(8, 256));
    field("noise", noise, "how far a control point is moved at most; the picture is 2 wide", at_least(0).at_most(0.2));
    field("batch_size", batch_size, "rows a training batch", between(1, 1 << 20));
    field("missing", missing, "fields that rows lack, drawn by the seed");
    split.fields(field);
  }
  void check(Relations& relations) const { split.check(relations); }
};

std::shared_ptr<Dataset> make_shapes_paths(const ShapesPathsConfig& config, const DataContext& context);

}  // namespace elbo
