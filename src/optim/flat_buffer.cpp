#include "elbo/optim/flat_buffer.h"

#include <torch/types.h>

#include <algorithm>
#include <cstdint>
#include <numeric>

#include "elbo/base/error.h"

namespace elbo {
namespace {

constexpr int64_t kSlotAlignment = 16;       // elements: a cache line of float32
constexpr int64_t kSegmentAlignment = 1024;  // elements: what global_norm sums first

int64_t padded(int64_t n, int64_t alignment) { return (n + alignment - 1) / alignment * alignment; }

/// One parameter, however often it is registered.
struct Entry {
  std::string name = {};
  std::vector<Tensor> aliases = {};
  std::vector<size_t> owners = {};
  uintptr_t begin = 0;  // its bytes
  uintptr_t end = 0;
};

Entry entry_of(const NamedTensor& parameter) {
  const auto& tensor = parameter.tensor;
  if (!tensor.defined() || !tensor.is_leaf() || !tensor.requires_grad()) {
    throw UsageError("parameter '" + parameter.name + "' can't be trained: it has to be a leaf that requires gradients");
  }
  int64_t last = 0;
  for (int64_t d = 0; d < tensor.dim(); ++d) last += (tensor.size(d) - 1) * tensor.stride(d);
  const auto begin = reinterpret_cast<uintptr_t>(tensor.data_ptr());
  const auto extent = tensor.numel() == 0 ? 0 : static_cast<uintptr_t>(last + 1) * tensor.element_size();
  return {parameter.name, {tensor}, {}, begin, begin + extent};
}

bool tied(const Entry& entry, const Tensor& tensor) {
  const auto& first = entry.aliases.front();
  if (first.is_same(tensor)) return true;
  return tensor.numel() > 0 && first.data_ptr() == tensor.data_ptr() && first.sizes() == tensor.sizes() &&
         first.strides() == tensor.strides();
}

std::vector<Entry> unique_parameters(const std::vector<ParameterSet>& owners) {
  std::vector<Entry> entries;
  for (size_t owner = 0; owner < owners.size(); ++owner) {
    for (const auto& parameter : owners[owner].parameters) {
      auto found = std::find_if(entries.begin(), entries.end(), [&](const Entry& e) { return tied(e, parameter.tensor); });
      if (found == entries.end()) found = entries.insert(entries.end(), entry_of(parameter));
      auto& aliases = found->aliases;
      if (std::none_of(aliases.begin(), aliases.end(), [&](const Tensor& t) { return t.is_same(parameter.tensor); })) {
        aliases.push_back(parameter.tensor);
      }
      if (found->owners.empty() || found->owners.back() != owner) found->owners.push_back(owner);
    }
  }
  return entries;
}

void check_disjoint(const std::vector<Entry>& entries) {
  std::vector<const Entry*> by_address;
  for (const auto& entry : entries) {
    if (entry.end > entry.begin) by_address.push_back(&entry);
  }
  std::sort(by_address.begin(), by_address.end(), [](auto* a, auto* b) { return a->begin < b->begin; });
  for (size_t i = 1; i < by_address.size(); ++i) {
    if (by_address[i]->begin < by_address[i - 1]->end) {
      throw UsageError("parameters '" + by_address[i - 1]->name + "' and '" + by_address[i]->name +
                       "' share a part of their memory; tied parameters have to be the same tensor");
    }
  }
}

void check_same_kind(const std::vector<Entry>& entries) {
  const auto& first = entries.front().aliases.front();
  for (const auto& entry : entries) {
    const auto& tensor = entry.aliases.front();
    if (tensor.scalar_type() != first.scalar_type() || tensor.device() != first.device()) {
      throw UsageError("parameter '" + entry.name + "' is " + c10::toString(tensor.scalar_type()) + " on " +
                       tensor.device().str() + ", '" + entries.front().name + "' " + c10::toString(first.scalar_type()) + " on " +
                       first.device().str() + "; all parameters need one type and one device");
    }
  }
}

}  // namespace

Tensor FlatSlot::of(const Tensor& flat_segment) const {
  return flat_segment.narrow(0, offset, std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>())).view(shape);
}

FlatBuffers::FlatBuffers(const std::vector<ParameterSet>& owners) : segments_of_(owners.size()) {
  const auto entries = unique_parameters(owners);
  if (entries.empty()) throw UsageError("there are no parameters to train");
  check_disjoint(entries);
  check_same_kind(entries);

  std::vector<std::vector<size_t>> segment_owners;
  std::vector<int64_t> sizes;
  for (const auto& entry : entries) {
    auto found = std::find(segment_owners.begin(), segment_owners.end(), entry.owners);
    if (found == segment_owners.end()) {
      for (const auto owner : entry.owners) segments_of_[owner].push_back(static_cast<int64_t>(segment_owners.size()));
      found = segment_owners.insert(segment_owners.end(), entry.owners);
      sizes.push_back(0);
    }
    const auto segment = found - segment_owners.begin();
    auto& size = sizes[static_cast<size_t>(segment)];
    const auto& first = entry.aliases.front();
    slots_.push_back({entry.name, segment, size, first.sizes().vec()});
    size += padded(first.numel(), kSlotAlignment);
  }

  int64_t total = 0;
  for (auto& size : sizes) {
    segment_starts_.push_back(total);
    total += size = padded(size, kSegmentAlignment);
  }
  parameters_ = torch::zeros({total}, entries.front().aliases.front().options().requires_grad(false));
  gradients_ = torch::zeros_like(parameters_);
  for (size_t i = 0; i < sizes.size(); ++i) {
    segments_.push_back(
        {parameters_.narrow(0, segment_starts_[i], sizes[i]), gradients_.narrow(0, segment_starts_[i], sizes[i])});
  }
  for (size_t i = 0; i < entries.size(); ++i) {
    slice(parameters_, slots_[i]).copy_(entries[i].aliases.front().detach());
    for (auto alias : entries[i].aliases) {
      alias.set_data(slice(parameters_, slots_[i]));
      alias.mutable_grad() = slice(gradients_, slots_[i]);
    }
  }
}

Tensor FlatBuffers::slice(const Tensor& flat, const FlatSlot& slot) const {
  const auto segment = static_cast<size_t>(slot.segment);
  return slot.of(flat.narrow(0, segment_starts_[segment], segments_[segment].parameters.size(0)));
}

int64_t FlatBuffers::num_parameters() const {
  int64_t total = 0;
  for (const auto& slot : slots_) total += slice(parameters_, slot).numel();
  return total;
}

void FlatBuffers::zero_grad() { gradients_.zero_(); }

}  // namespace elbo
