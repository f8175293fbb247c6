#pragma once
#include "elbo/data/dataset.h"
#include "elbo/data/missing.h"

namespace elbo {

/// Several pictures of one thing: tuples of images of the same class out of a labelled set, each drawn with inverted colours on a
/// crop of its modality's own background; made in memory from the run's seed. The style of a digit is a modality's own, only the
/// class is shared. For each class and modality the images are permuted and tuple i takes the i-th of each, so that each image is
/// used once a modality; train, valid and test are made of the base's.
/// Fields: m0 to m4 [3, size, size] in [0, 1], label.
/// Source: the recipe of PolyMNIST (Sutter et al. 2021, arXiv:2105.02470).
/// Differs: backgrounds are procedural textures, not its five photographs, and the base may be any set: numbers on this set can't
/// be compared with published ones. The published files are read by data set polymnist.
struct PolyConfig {
  DatasetChoice base{datasets, "digits"};
  int64_t modalities = 5;
  int64_t size = 28;
  bool translated = false;
  int64_t threshold = 128;
  int64_t repeats = 1;
  int64_t textures = 0;
  int64_t batch_size = 128;
  MissingOptions missing = {};

  template <class F>
  void fields(F& field) {
    field("base", base,
          "the labelled set of one-channel images that is drawn on the backgrounds; its batch_size counts for nothing");
    field("modalities", modalities, "pictures of a tuple: the fields m0, m1, …", between(2, 5));
    field("size", size, "height and width of the pictures; images of another size are scaled", between(8, 128));
    field("translated", translated, "draw images at three quarters of the size, each at a place of its own");
    field("threshold", threshold, "an image is where its bytes are above this; clothes want less than digits", between(0, 254));
    field("repeats", repeats, "tuples that each training image is in, a modality: more than 1 makes more rows of a small base",
          between(1, 1000));
    field("textures", textures, "seed of the backgrounds, which are the same for every run", between(0, 1 << 30));
    field("batch_size", batch_size, "rows a training batch", between(1, 1 << 20));
    field("missing", missing, "pictures that rows lack, drawn by the seed");
  }
};

/// Throws: ConfigError when the base isn't a labelled set of one-channel images in [0, 1].
std::shared_ptr<Dataset> make_poly(const PolyConfig& config, const DataContext& context);

/// The background of a modality (0 to 4), [3, 256, 256] bytes: stripes, a noisy checkerboard, cloudy noise, Voronoi cells, or a
/// speckled radial gradient. Far from middle grey in at least 80 % of its values, so that inverted colours can be seen.
Tensor poly_texture(int64_t modality, uint64_t seed);

}  // namespace elbo
