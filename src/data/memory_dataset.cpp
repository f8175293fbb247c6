#include "elbo/data/memory_dataset.h"

#include <ATen/DeviceAccelerator.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/text.h"
#include "elbo/data/kind_name.h"
#include "elbo/io/sha256.h"
#include "elbo/math/tensors.h"
#include "elbo/math/upload.h"
#include "memory.h"
#include "missing.h"
#include "presentation.h"

namespace elbo {

using detail::numbers;

namespace {

constexpr int64_t kRowsAtOnce = 1024;  // when all rows are gone through; part of how evaluation data is binarised

/// Bernoulli(p) as 0 or 1 of p's type.
Tensor draw(const Tensor& p, Stream& stream) {
  const Tensor u = stream.uniform({p.size(0)}, p.sizes().slice(1)).to(p.device());
  return (u < p).to(p.scalar_type());
}

/// Leaves at least half of what is free to the model.
bool fits(int64_t num_bytes, at::Device device) {
  if (device.is_cpu()) return true;
  try {
    const auto index = device.has_index() ? device.index() : at::accelerator::getDeviceIndex();
    return static_cast<size_t>(num_bytes) <= at::accelerator::getMemoryInfo(index).first / 2;
  } catch (const c10::Error&) {  // not every allocator tells
    return num_bytes <= int64_t{2} << 30;
  }
}

}  // namespace

std::array<Tensor, 3> split_rows(int64_t num_rows, int64_t num_valid, int64_t num_test, uint64_t seed) {
  const int64_t num_train = num_rows - num_valid - num_test;
  if (num_train < 1) {
    throw ConfigError("data: " + std::to_string(num_valid) + " rows for validation and " + std::to_string(num_test) +
                      " for the test leave none of " + std::to_string(num_rows) + " to train on");
  }
  const Tensor order = Stream(seed, "split", at::kCPU).permutation(num_rows);
  const auto part = [&order](int64_t begin, int64_t count) { return std::get<0>(order.narrow(0, begin, count).sort()); };
  return {part(num_valid + num_test, num_train), part(num_test, num_valid), part(0, num_test)};
}

int64_t num_held_out(double fraction, int64_t num_rows) {
  return std::max<int64_t>(1, std::llround(fraction * static_cast<double>(num_rows)));
}

MemoryDataset::MemoryDataset(RowSource source, const DataOptions& options, uint64_t seed)
    : source_(std::move(source)), spec_(source_.spec), options_(options), seed_(seed) {
  if (spec_.contains("x")) {
    presentation_ = std::make_unique<detail::Presentation>(source_.spec.at("x"), options, seed);
    presentation_->describe(spec_);
  }
  std::array<int64_t, 3> sizes = {};
  detail::MissingFields::Natural natural;
  for (size_t split = 0; split < 3; ++split) {
    sizes[split] = source_.rows[split].size(0);
    for (const auto& [name, present] : source_.present) natural[split][name] = present.index_select(0, source_.rows[split]);
  }
  missing_ = std::make_unique<detail::MissingFields>(options.missing, spec_, sizes, natural, seed);
}

MemoryDataset::~MemoryDataset() = default;

int64_t MemoryDataset::size(Split split) const { return source_.rows[static_cast<size_t>(split)].size(0); }

void MemoryDataset::load(at::Device device) {
  device_ = device;
  missing_->to(device);
  detail::check_host_memory(source_.where, source_.num_bytes, detail::available_host_bytes());
  auto arrays = source_.read();
  stored_ = {};
  fingerprint_.reset();
  int64_t num_bytes = 0;
  for (auto& [name, array] : arrays) {
    for (const Split split : {Split::train, Split::valid, Split::test}) {
      const auto place = static_cast<size_t>(split);
      Tensor rows = array.index_select(0, source_.rows[place]);
      if (name == "x") rows = binarised(rows, split);
      num_bytes += static_cast<int64_t>(rows.nbytes());
      stored_[place][name] = rows;
    }
    array.reset();
  }
  loaded_ = true;
  if (!fits(num_bytes, device)) {
    log_info(text("the data (", with_commas(num_bytes), " bytes) stays on the host: too large for ", device.str()));
    return;
  }
  for (auto& rows : stored_) {
    for (auto& [name, values] : rows) values = values.to(device);
  }
}

bool MemoryDataset::keeps_bits(Split split) const {
  if (!presentation_) return false;
  const bool later = options_.binarize == Binarize::dynamic && split == Split::train;
  return options_.binarize != Binarize::none && source_.spec.at("x").kind != ValueKind::binary && !later;
}

Tensor MemoryDataset::binarised(const Tensor& grey, Split split) const {
  const auto& spec = source_.spec.at("x");
  if (!keeps_bits(split)) return grey;
  Stream stream(seed_, "binarize", at::kCPU);
  stream.rekey(static_cast<int64_t>(split));
  Tensor bits = torch::empty(grey.sizes(), torch::kByte);
  for (int64_t row = 0; row < grey.size(0); row += kRowsAtOnce) {
    const int64_t count = std::min(kRowsAtOnce, grey.size(0) - row);
    const Tensor p = numbers(grey.narrow(0, row, count), spec);
    bits.narrow(0, row, count).copy_(options_.binarize == Binarize::threshold ? p.ge(0.5) : draw(p, stream));
  }
  return bits;
}

const MemoryDataset::Rows& MemoryDataset::rows_of(Split split) const {
  if (!loaded_) throw UsageError("the data set was not loaded: call load(device) before reading rows");
  return stored_[static_cast<size_t>(split)];
}

Batch MemoryDataset::gather(Split split, const Tensor& index, Stream& stream) const {
  check_shape(index, {kAnyExtent}, "rows to gather");
  const auto rows_asked = index.to(torch::kCPU).contiguous();
  const std::span places(rows_asked.const_data_ptr<int64_t>(), static_cast<size_t>(rows_asked.numel()));
  if (std::any_of(places.begin(), places.end(), [&](int64_t row) { return row < 0 || row >= size(split); })) {
    throw UsageError(text("rows to gather: outside 0..", size(split) - 1));
  }
  Batch batch{.fields = {}, .index = index};
  for (const auto& [name, stored] : rows_of(split)) {
    const Tensor rows = upload(stored.index_select(0, upload(index, stored.device())), device_);
    const auto& spec = source_.spec.at(name);
    if (name == "x") {
      presentation_->add_to(batch, rows, split, stream, keeps_bits(split) ? detail::Bits::drawn : detail::Bits::to_draw);
    } else {
      batch.fields[name].value = spec.kind == ValueKind::category ? rows.to(torch::kLong) : numbers(rows, spec);
    }
  }
  missing_->apply(batch, split, stream);
  return batch;
}

std::string MemoryDataset::fingerprint() const {
  if (fingerprint_) return *fingerprint_;
  // What is stored says how it was binarised: static and threshold keep the bits, dynamic grey values of a binary field.
  Sha256 hash;
  if (presentation_) hash.update(presentation_->fingerprint());
  hash.update(missing_->fingerprint());
  for (const Split split : {Split::train, Split::valid, Split::test}) {
    for (const auto& [name, stored] : rows_of(split)) {
      const auto& spec = spec_.at(name);
      const Tensor host = stored.cpu().contiguous();
      const auto view = view_of(host);
      hash.update(text(name, " ", kind_name(spec.kind), " ", spec.num_classes, " ", spec.levels, " ", name_of(view.dtype), " ",
                       shape_text(host.sizes()), "\n"));
      hash.update(view.bytes);
    }
  }
  fingerprint_ = hash.hex();
  return *fingerprint_;
}

Tensor MemoryDataset::training_mean() const {
  if (!presentation_) return {};
  const Tensor all = rows_of(Split::train).at("x");
  const Tensor there = missing_->rows_with(Split::train, "x");
  const Tensor stored = there.defined() ? all.index_select(0, there.to(all.device())) : all;
  const bool bytes = stored.scalar_type() == torch::kByte;
  Tensor sum = torch::zeros(stored.sizes().slice(1), stored.options().dtype(bytes ? torch::kLong : torch::kDouble));
  for (int64_t row = 0; row < stored.size(0); row += kRowsAtOnce) {
    const int64_t count = std::min(kRowsAtOnce, stored.size(0) - row);
    sum += stored.narrow(0, row, count).to(sum.scalar_type()).sum(0);
  }
  // Dynamic binarisation keeps grey values, whose mean is that of the bits.
  const bool once = options_.binarize == Binarize::once || options_.binarize == Binarize::threshold;
  const auto& spec = source_.spec.at("x");
  const int64_t top = bytes && spec.kind == ValueKind::unit && !once ? spec.levels - 1 : 1;
  const Tensor mean = sum.to(torch::kDouble) / static_cast<double>(std::max<int64_t>(1, stored.size(0)) * top);
  return presentation_->mean(mean).to(torch::kFloat).cpu();
}

}  // namespace elbo
