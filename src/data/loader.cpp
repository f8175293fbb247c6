#include "elbo/data/loader.h"

#include <algorithm>

#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/text.h"

namespace elbo {
namespace {

/// Training rows that are drawn when gathered are drawn in whole granules by SequentialLoader, each keyed by its place.
constexpr int64_t kGranule = 64;

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
  const int64_t epoch = step / steps_per_epoch_;
  if (epoch != epoch_) {
    Stream order(seed_, "order", at::kCPU);
    order.rekey(epoch);
    order_ = order.permutation(num_examples());
    epoch_ = epoch;
  }
  const int64_t begin = step % steps_per_epoch_ * batch_size_;
  const int64_t count = std::min(batch_size_, num_examples() - begin);
  return dataset_->gather(Split::train, order_.narrow(0, begin, count), stream);
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
