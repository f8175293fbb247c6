#pragma once
#include "elbo/data/dataset.h"
#include "elbo/data/options.h"

namespace elbo {

/// CIFAR-10, binary version: data_batch_1.bin to data_batch_5.bin and test_batch.bin in ROOT/cifar-10-batches-bin or
/// ROOT/cifar10. Fields: x [3, 32, 32], kept as bytes, and label. Test is test_batch; valid is drawn from the training rows by
/// the run's seed. Source: Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images".
struct Cifar10Config {
  DataOptions options = {};
  int64_t valid = 5000;

  template <class F>
  void fields(F& field) {
    options.fields(field);
    field("valid", valid, "training rows kept for validation, chosen by the run's seed", between(1, 49'999));
  }
};

/// Throws: DataError naming the file and the command that fetches it.
std::shared_ptr<Dataset> make_cifar10(const Cifar10Config& config, const DataContext& context);

}  // namespace elbo
