#pragma once
#include <memory>

#include "elbo/data/dataset.h"

namespace elbo {

/// What happens to the last rows of an epoch that do not fill a batch.
enum class ShortBatch { keep, drop };

/// Training batches as a function of the step: epoch and place follow from the step's number and the order of an epoch from
/// (seed, epoch), so that a run continues anywhere without a saved state.
class Loader {
 public:
  /// Throws ConfigError when the batch is larger than the split and the short batch would be dropped.
  Loader(std::shared_ptr<const Dataset> dataset, int64_t batch_size, uint64_t seed, ShortBatch short_batch);
  int64_t steps_per_epoch() const { return steps_per_epoch_; }
  int64_t batch_size() const { return batch_size_; }
  int64_t num_examples() const;
  /// The batch of a step; dynamic binarisation draws from `stream`, keyed to the step by the caller.
  Batch at(int64_t step, Stream& stream);

 private:
  std::shared_ptr<const Dataset> dataset_;
  int64_t batch_size_;
  uint64_t seed_;
  int64_t steps_per_epoch_;
  int64_t epoch_ = -1;
  Tensor order_;  // [N] int64, of epoch_
};

/// Batches of a split in its own order, short last one kept: for evaluation. `limit` 0 means all rows. A row's numbers depend on
/// neither batch size nor limit, dynamically binarised training rows included.
class SequentialLoader {
 public:
  SequentialLoader(std::shared_ptr<const Dataset> dataset, Split split, int64_t batch_size, int64_t limit = 0);
  int64_t num_batches() const;
  int64_t num_examples() const { return num_examples_; }
  Batch at(int64_t batch) const;

 private:
  std::shared_ptr<const Dataset> dataset_;
  Split split_;
  int64_t batch_size_;
  int64_t num_examples_;
};

}  // namespace elbo
