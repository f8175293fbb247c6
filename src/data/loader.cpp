#include "elbo/data/loader.h"

#include <algorithm>

#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/text.h"

namespace elbo {
namespace {

/// Training rows that are drawn when gathered are drawn in whole granules by SequentialLoader, each keyed by its place.
constexpr int64_t kGranule = 64;
/// Batches that are announced before they are needed.
constexpr int64_t kBatchesAhead = 2;

Tensor order_of_epoch(uint64_t seed, int64_t epoch, int64_t num_rows) {
  Stream order(seed, "order", at::kCPU);
  order.rekey(epoch);
  return order.permutation(num_rows);
}

Tensor joined_rows(const std::vector<Tensor>& parts) { return parts.front().defined() ? torch::cat(parts) : Tensor(); }

Batch joined_batches(const std::vector<Batch>& parts) {
  const auto collect = [&parts](auto member) {
    std::vector<Tensor> tensors;
    for (const auto& part : parts) tensors.push_back(member(part));
    return joined_rows(tensors);
  };
  Batch whole{.fields = {}, .index = collect([](const Batch& part) { return part.index; })};
  for (const auto& entry : parts.front().fields) {
    const std::string& name = entry.first;
    whole.fields[name] = {.value = collect([&](const Batch& part) { return part.fields.at(name).value; }),
                          .present = collect([&](const Batch& part) { return part.fields.at(name).present; }),
                          .valid = collect([&](const Batch& part) { return part.fields.at(name).valid; })};
  }
  return whole;
}

Batch rows_of(const Batch& batch, int64_t begin, int64_t count) {
  const auto cut = [&](const Tensor& tensor) { return tensor.defined() ? tensor.narrow(0, begin, count) : Tensor(); };
  Batch part{.fields = {}, .index = cut(batch.index)};
  for (const auto& [name, field] : batch.fields) {
    part.fields[name] = {.value = cut(field.value), .present = cut(field.present), .valid = cut(field.valid)};
  }
  return part;
}

void check_batch_size(int64_t batch_size) {
  if (batch_size < 1) throw UsageError(text("batch size: got ", batch_size, ", expected at least 1"));
}

}  // namespace

Loader::Loader(std::shared_ptr<const Dataset> dataset, int64_t batch_size, uint64_t seed, ShortBatch short_batch)
    : dataset_(std::move(dataset)), batch_size_(batch_size), seed_(seed) {
  check_batch_size(batch_size);
  const int64_t whole = num_examples() / batch_size_;
  if (short_batch == ShortBatch::drop && whole == 0) {
    throw ConfigError(text("data.batch_size: ", batch_size_, " rows, but the training split has only ", num_examples(),
                           " and a batch that is not full would be dropped"));
  }
  const int64_t all = (num_examples() + batch_size_ - 1) / batch_size_;
  if (batch_size_ > num_examples()) {
    log_warn(text("batch_size ", batch_size_, " is larger than the ", num_examples(), " training rows: one batch an epoch"));
  }
  steps_per_epoch_ = short_batch == ShortBatch::drop ? whole : all;
}

int64_t Loader::num_examples() const { return dataset_->size(Split::train); }

Batch Loader::at(int64_t step, Stream& stream) {
  if (step < 0) throw UsageError(text("training step: got ", step, ", expected at least 0"));
  const int64_t epoch = step / steps_per_epoch_, num_rows = num_examples();
  if (epoch != epoch_) {
    const bool known = epoch == epoch_ + 1 && order_.defined() && order_.size(0) == 2 * num_rows;
    order_ = known ? order_.narrow(0, num_rows, num_rows).clone() : order_of_epoch(seed_, epoch, num_rows);
    epoch_ = epoch;
  }
  const auto rows_of_step = [&](int64_t s) {
    const int64_t ahead = s / steps_per_epoch_ - epoch_;
    if (ahead == 1 && order_.size(0) == num_rows) order_ = torch::cat({order_, order_of_epoch(seed_, epoch + 1, num_rows)});
    const int64_t begin = s % steps_per_epoch_ * batch_size_;
    return order_.narrow(0, ahead * num_rows + begin, std::min(batch_size_, num_rows - begin));
  };
  for (int64_t s = step; s <= step + kBatchesAhead && s / steps_per_epoch_ <= epoch + 1; ++s) {
    dataset_->prefetch(Split::train, rows_of_step(s));
  }
  return dataset_->gather(Split::train, rows_of_step(step), stream);
}

SequentialLoader::SequentialLoader(std::shared_ptr<const Dataset> dataset, Split split, int64_t batch_size, int64_t limit)
    : dataset_(std::move(dataset)), split_(split), batch_size_(batch_size), num_examples_(dataset_->size(split)) {
  check_batch_size(batch_size);
  if (limit < 0) throw UsageError(text("limit: got ", limit, ", expected at least 0"));
  if (limit > 0) num_examples_ = std::min(num_examples_, limit);
}

int64_t SequentialLoader::num_batches() const { return (num_examples_ + batch_size_ - 1) / batch_size_; }

Batch SequentialLoader::at(int64_t batch) const {
  if (batch < 0 || batch >= num_batches()) throw UsageError(text("batch: got ", batch, ", there are ", num_batches()));
  const int64_t begin = batch * batch_size_;
  const int64_t end = std::min(begin + batch_size_, num_examples_);
  dataset_->prefetch(split_, torch::arange(begin, std::min(begin + (1 + kBatchesAhead) * batch_size_, num_examples_)));
  Stream stream(0, "sequential", at::kCPU);
  if (split_ != Split::train) return dataset_->gather(split_, torch::arange(begin, end), stream);
  std::vector<Batch> parts;
  for (int64_t first = begin / kGranule * kGranule; first < end; first += kGranule) {
    stream.rekey(first / kGranule);
    const int64_t last = std::min(first + kGranule, dataset_->size(split_));
    const Batch granule = dataset_->gather(split_, torch::arange(first, last), stream);
    const int64_t from = std::max(first, begin);
    parts.push_back(rows_of(granule, from - first, std::min(last, end) - from));
  }
  return joined_batches(parts);
}

}  // namespace elbo
