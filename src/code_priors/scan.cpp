#include "scan.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <limits>
#include <utility>

namespace elbo::detail {
namespace {

/// Shapes: [B, heads d, h, w] -> [B, heads, h w, d].
Tensor places_of(const Tensor& map, int64_t heads) {
  return map.flatten(2).reshape({map.size(0), heads, map.size(1) / heads, -1}).transpose(2, 3);
}

/// The way back.
Tensor map_of(const Tensor& places, int64_t height) { return places.transpose(2, 3).flatten(1, 2).unflatten(2, {height, -1}); }

}  // namespace

const Tensor& Scan::once(const void* owner, const std::function<Tensor()>& make) {
  const auto found = kept_.find(owner);
  return found != kept_.end() ? found->second : kept_.emplace(owner, make()).first->second;
}

Tensor WholeScan::codes(const Window& window) { return this->window(codes_, window); }

Tensor WholeScan::window(const Tensor& x, const Window& window) {
  // A negative margin cuts: the last row or column, which a window that ends before its place never reaches.
  const int64_t right = window.columns - 1 - window.left, bottom = window.rows - 1 - window.up;
  return at::constant_pad_nd(x, {window.left, right, window.up, bottom});
}

std::vector<Tensor> WholeScan::one_row_down(const std::function<std::vector<Tensor>(Scan&)>& rows, const std::vector<int64_t>&) {
  auto maps = rows(*this);
  for (auto& map : maps) map = at::constant_pad_nd(map, {0, 0, 1, -1});
  return maps;
}

Tensor WholeScan::attend(const Tensor& query, const Tensor& known, const KeysOf& keys_of, int64_t heads) {
  const int64_t T = query.size(2) * query.size(3);
  const auto [keys, values] = keys_of(at::cat({codes_, known}, 1));
  const auto not_before = at::ones({T, T}, query.options().dtype(at::kBool)).triu();
  const auto scores = arithmetic().scores(places_of(query, heads), places_of(keys, heads));
  const auto weights = arithmetic().softmax(scores.masked_fill(not_before, -std::numeric_limits<double>::infinity()));
  return map_of(arithmetic().attend(weights, places_of(values, heads)), query.size(2));
}

void GrowingMap::clear(int64_t B, int64_t channels, const at::TensorOptions& options) {
  map_ = at::zeros({B, channels, height_ + 2 * margin_, width_ + 2 * margin_}, options);
}

void GrowingMap::put(const Tensor& x, int64_t row, int64_t column) {
  if (empty()) clear(x.size(0), x.size(1), x.options());
  map_.narrow(2, row + margin_, 1).narrow(3, column + margin_, x.size(3)).copy_(x);
}

Tensor GrowingMap::read(const Window& window, int64_t row, int64_t column, int64_t columns) const {
  return map_.narrow(2, row + margin_ - window.up, window.rows)
      .narrow(3, column + margin_ - window.left, columns + window.columns - 1);
}

void PartScan::go_to(int64_t row, int64_t column, int64_t columns) {
  row_ = row;
  column_ = column;
  columns_ = columns;
  layer_ = attention_ = 0;
}

Tensor PartScan::window(const Tensor& x, const Window& window) {
  if (layer_ == layers_.size()) layers_.emplace_back(size_.height, size_.width, std::max(window.up, window.left));
  auto& map = layers_[layer_++];
  map.put(x, row_, column_);
  return map.read(window, row_, column_, columns_);
}

Tensor PartScan::here(const Tensor& map) {
  if (map.size(2) == 1 && map.size(3) == 1) return map;
  return map.narrow(2, row_, 1).narrow(3, column_, columns_);
}

std::vector<Tensor> PartScan::one_row_down(const std::function<std::vector<Tensor>(Scan&)>& rows,
                                           const std::vector<int64_t>& channels) {
  if (!rows_) rows_ = std::make_unique<PartScan>(size_, codes_, arithmetic(), condition());
  if (column_ == 0 && row_ > 0) {
    rows_->go_to_row(row_ - 1);
    row_maps_ = rows(*rows_);
  }
  std::vector<Tensor> here;
  for (size_t i = 0; i < channels.size(); ++i) {
    here.push_back(row_ > 0 ? row_maps_[i].narrow(3, column_, 1)
                            : at::zeros({size_.B, channels[i], 1, 1}, codes(Window{}).options()));
  }
  return here;
}

Tensor PartScan::attend(const Tensor& query, const Tensor& known, const KeysOf& keys_of, int64_t heads) {
  if (attention_ == pasts_.size()) pasts_.emplace_back();
  auto& past = pasts_[attention_++];
  const auto before = std::exchange(past.known, known);
  const int64_t T = size_.height * size_.width, t = row_ * size_.width + column_;
  if (t == 0) return at::zeros_like(query);
  const auto code = codes_->read(Window{}, (t - 1) / size_.width, (t - 1) % size_.width, 1);
  const auto [key, value] = keys_of(at::cat({code, before}, 1));
  const auto k = places_of(key, heads), v = places_of(value, heads);
  if (t == 1) {
    past.keys = at::zeros({size_.B, heads, T, k.size(3)}, k.options());
    past.values = at::zeros({size_.B, heads, T, v.size(3)}, v.options());
  }
  past.keys.narrow(2, t - 1, 1).copy_(k);
  past.values.narrow(2, t - 1, 1).copy_(v);
  const auto weights = arithmetic().softmax(arithmetic().scores(places_of(query, heads), past.keys.narrow(2, 0, t)));
  return map_of(arithmetic().attend(weights, past.values.narrow(2, 0, t)), 1);
}

}  // namespace elbo::detail
