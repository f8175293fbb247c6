#pragma once
#include <filesystem>

#include "elbo/data/dataset.h"
#include "elbo/data/options.h"

namespace elbo {

/// MNIST and its relatives: the four IDX files, plain or gzipped, under their usual names in ROOT/mnist or ROOT/fashion_mnist.
/// Fields: x [1, 28, 28], label. Test is t10k; valid is drawn from the training rows by the run's seed.
struct MnistConfig {
  DataOptions options = {};
  int64_t valid = 5000;

  template <class F>
  void fields(F& field) {
    options.fields(field);
    field("valid", valid, "training rows kept for validation, chosen by the run's seed", between(1, 59'999));
  }
};

/// Throws: DataError naming the file and the command that fetches it.
std::shared_ptr<Dataset> make_mnist(const MnistConfig& config, const DataContext& context);
std::shared_ptr<Dataset> make_fashion_mnist(const MnistConfig& config, const DataContext& context);

/// A user's own IDX files: rows [N, D], [N, H, W] (one channel) or [N, C, H, W]. Relative paths start at the data root.
/// Fields: x, and label where label files are given. Without test files the test split is drawn by the run's seed.
struct IdxConfig {
  DataOptions options = {};
  SplitOptions split = {};
  std::filesystem::path images = {};
  std::filesystem::path labels = {};
  std::filesystem::path test_images = {};
  std::filesystem::path test_labels = {};
  Values values = Values::automatic;
  int64_t classes = 10;

  template <class F>
  void fields(F& field) {
    field("images", images, "IDX file of the rows, plain or gzipped; relative to the data root", required, non_empty);
    field("labels", labels, "IDX file of their labels; none when empty");
    field("test_images", test_images, "IDX file of the test rows; drawn from the images by seed when empty");
    field("test_labels", test_labels, "IDX file of the test rows' labels");
    field("values", values, "what the numbers are; auto takes bytes as grey levels and floating point as real");
    field("classes", classes, "number of classes of the labels", between(1, 1 << 20));
    options.fields(field);
    split.fields(field);
  }
  void check(Relations& relations) const;
};

std::shared_ptr<Dataset> make_idx(const IdxConfig& config, const DataContext& context);

}  // namespace elbo
