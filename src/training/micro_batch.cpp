#include "micro_batch.h"

#include <torch/types.h>

#include <algorithm>

namespace elbo::detail {

std::vector<Rows> parts_of(int64_t size, int64_t part) {
  std::vector<Rows> parts;
  for (int64_t begin = 0; begin < size; begin += part) parts.push_back({begin, std::min(part, size - begin)});
  return parts;
}

Batch rows_of(const Batch& batch, Rows rows) {
  const auto cut = [&](const Tensor& tensor) { return tensor.defined() ? tensor.narrow(0, rows.begin, rows.count) : Tensor(); };
  Batch part{.fields = {}, .index = cut(batch.index)};
  for (const auto& [name, field] : batch.fields) {
    part.fields[name] = {.value = cut(field.value), .present = cut(field.present), .valid = cut(field.valid)};
  }
  return part;
}

template <class Draw>
Tensor PartNoise::cut(at::IntArrayRef leading, const Draw& draw) {
  if (leading.empty() || leading.back() != rows_.count) return draw(leading);
  auto whole = leading.vec();
  whole.back() = size_;
  return draw(at::IntArrayRef(whole)).narrow(static_cast<int64_t>(whole.size()) - 1, rows_.begin, rows_.count);
}

Tensor PartNoise::normal(at::IntArrayRef leading, at::IntArrayRef event) {
  return cut(leading, [&](at::IntArrayRef all) { return whole_.normal(all, event); });
}

Tensor PartNoise::uniform(at::IntArrayRef leading, at::IntArrayRef event) {
  return cut(leading, [&](at::IntArrayRef all) { return whole_.uniform(all, event); });
}

}  // namespace elbo::detail
