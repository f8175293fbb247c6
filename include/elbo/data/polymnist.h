#pragma once
#include <filesystem>

#include "elbo/data/dataset.h"
#include "elbo/data/missing.h"

namespace elbo {

/// PolyMNIST or Translated PolyMNIST from files in the published layout: PATH/train/m0/INDEX.LABEL.png to PATH/test/m4/…, the
/// same names in each modality's folder. Rows are sorted by index and label, and every modality must have the same.
/// Fields: m0, m1, … [3, H, W], kept as bytes; label (10 classes). Valid is drawn from the training rows by the run's seed.
/// Source: Sutter et al. 2021 (arXiv:2105.02470).
struct PolyMnistConfig {
  std::filesystem::path path = "MMNIST";
  int64_t modalities = 5;
  int64_t valid = 5000;
  int64_t batch_size = 128;
  MissingOptions missing = {};

  template <class F>
  void fields(F& field) {
    field("path", path, "the folder that holds train and test; relative to the data root", non_empty);
    field("modalities", modalities, "folders m0, m1, … that are read", between(1, 64));
    field("valid", valid, "training rows kept for validation, chosen by the run's seed", between(1, 1 << 24));
    field("batch_size", batch_size, "rows a training batch", between(1, 1 << 20));
    field("missing", missing, "pictures that rows lack, drawn by the seed");
  }
};

/// Throws: DataError naming the folder or file.
std::shared_ptr<Dataset> make_polymnist(const PolyMnistConfig& config, const DataContext& context);

}  // namespace elbo
