#pragma once
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "elbo/math/arithmetic.h"
#include "elbo/math/step.h"

namespace elbo::detail {

/// The places that a convolution reads: `rows` x `columns` of them, the first `up` rows above and `left` columns before its own.
/// Causal convolutions are dense ones over such windows, without a mask: a masked weight would still read later places, and in
/// exact arithmetic the largest element of a window decides the rounding of all.
struct Window {
  int64_t rows = 1;
  int64_t columns = 1;
  int64_t up = 0;
  int64_t left = 0;

  /// Rows above, as wide as the kernel.
  static Window above(int64_t kernel) { return {kernel / 2, kernel, kernel / 2, kernel / 2}; }
  /// Rows above and the own one, later places of it too.
  static Window rows_to_own(int64_t kernel) { return {kernel / 2 + 1, kernel, kernel / 2, kernel / 2}; }
  /// Earlier places of the own row: mask A.
  static Window before(int64_t kernel) { return {1, kernel / 2, 0, kernel / 2}; }
  /// The own place and earlier ones of its row: mask B.
  static Window to_own(int64_t kernel) { return {1, kernel / 2 + 1, 0, kernel / 2}; }
};

/// What a network over the places is given besides codes.
struct PlaceCondition {
  Tensor label = {};         // int64 [B], a row of the tables of classes
  Tensor above = {};         // [B, channels, h', w'], or undefined
  Tensor above_row = {};     // int64 [h], the row of `above` that lies over each row
  Tensor above_column = {};  // int64 [w]
};

struct KeysAndValues {
  Tensor keys = {};
  Tensor values = {};
};
using KeysOf = std::function<KeysAndValues(const Tensor&)>;

/// The places that a network computes at once: all of the map, or one of it, where what earlier places left is kept. A network
/// written against this gives the same numbers both ways.
class Scan {
 public:
  Scan(Arithmetic& arithmetic, Step* step, PlaceCondition condition)
      : arithmetic_(arithmetic), step_(step), condition_(std::move(condition)) {}
  virtual ~Scan() = default;

  /// The window's surroundings of the embedded codes, ready for a convolution without padding: zeros outside of the map.
  virtual Tensor codes(const Window& window) = 0;
  /// The same of a layer's input x at the places of this scan. Always called in the same order: that tells layers apart.
  virtual Tensor window(const Tensor& x, const Window& window) = 0;
  /// The part of a whole map, or of one value for all places. Shapes: [., ., h, w] or [., ., 1, 1].
  virtual Tensor here(const Tensor& map) = 0;
  /// What `rows` gives for whole rows, one row further down: zeros in the first. `channels` of each map it gives.
  virtual std::vector<Tensor> one_row_down(const std::function<std::vector<Tensor>(Scan&)>& rows,
                                           const std::vector<int64_t>& channels) = 0;
  /// Attention to the places strictly before; the first attends to nothing and gets 0. `keys_of` makes keys and values from the
  /// embedded codes of places and `known` of them, side by side: a place's own code may be in its key, since only later places
  /// look there. Shapes: query and what keys_of gives [B, heads d, ...], known [B, channels, ...].
  virtual Tensor attend(const Tensor& query, const Tensor& known, const KeysOf& keys_of, int64_t heads) = 0;

  /// Made at the first call and kept: weights and conditions, which are the same at every place.
  const Tensor& once(const void* owner, const std::function<Tensor()>& make);
  Arithmetic& arithmetic() const { return arithmetic_; }
  Step* step() const { return step_; }
  const PlaceCondition& condition() const { return condition_; }

 private:
  Arithmetic& arithmetic_;
  Step* step_ = nullptr;
  PlaceCondition condition_ = {};
  std::unordered_map<const void*, Tensor> kept_ = {};
};

/// All places. Shapes: codes [B, channels, h, w].
class WholeScan final : public Scan {
 public:
  WholeScan(Tensor codes, Arithmetic& arithmetic, Step* step, PlaceCondition condition)
      : Scan(arithmetic, step, std::move(condition)), codes_(std::move(codes)) {}
  Tensor codes(const Window& window) override;
  Tensor window(const Tensor& x, const Window& window) override;
  Tensor here(const Tensor& map) override { return map; }
  std::vector<Tensor> one_row_down(const std::function<std::vector<Tensor>(Scan&)>& rows,
                                   const std::vector<int64_t>& channels) override;
  Tensor attend(const Tensor& query, const Tensor& known, const KeysOf& keys_of, int64_t heads) override;

 private:
  Tensor codes_;
};

/// A map that is filled bit by bit, with a margin of zeros around it.
class GrowingMap {
 public:
  GrowingMap(int64_t height, int64_t width, int64_t margin) : height_(height), width_(width), margin_(margin) {}
  /// Shapes: x [B, channels, 1, columns].
  void put(const Tensor& x, int64_t row, int64_t column);
  /// The windows of `columns` places from (row, column) on.
  Tensor read(const Window& window, int64_t row, int64_t column, int64_t columns) const;
  bool empty() const { return !map_.defined(); }
  /// Zeros of these many channels. `like` has rows, type and device.
  void clear(int64_t B, int64_t channels, const at::TensorOptions& options);

 private:
  int64_t height_;
  int64_t width_;
  int64_t margin_;
  Tensor map_ = {};
};

struct ScanSize {
  int64_t B = 0;
  int64_t height = 0;
  int64_t width = 0;
};

/// One place after the other, or one row after the other.
class PartScan final : public Scan {
 public:
  /// `codes` is shared with the scan over rows that belongs to this one.
  PartScan(ScanSize size, std::shared_ptr<GrowingMap> codes, Arithmetic& arithmetic, PlaceCondition condition)
      : Scan(arithmetic, nullptr, std::move(condition)), size_(size), codes_(std::move(codes)) {}
  void go_to_place(int64_t row, int64_t column) { go_to(row, column, 1); }
  void go_to_row(int64_t row) { go_to(row, 0, size_.width); }

  Tensor codes(const Window& window) override { return codes_->read(window, row_, column_, columns_); }
  Tensor window(const Tensor& x, const Window& window) override;
  Tensor here(const Tensor& map) override;
  std::vector<Tensor> one_row_down(const std::function<std::vector<Tensor>(Scan&)>& rows,
                                   const std::vector<int64_t>& channels) override;
  Tensor attend(const Tensor& query, const Tensor& known, const KeysOf& keys_of, int64_t heads) override;

 private:
  /// Of one attention.
  struct Past {
    Tensor keys = {}, values = {};  // [B, heads, T, d]
    Tensor known = {};              // of the place before
  };
  void go_to(int64_t row, int64_t column, int64_t columns);

  ScanSize size_;
  std::shared_ptr<GrowingMap> codes_;
  int64_t row_ = 0, column_ = 0, columns_ = 1;
  size_t layer_ = 0;      // calls of window() since go_to
  size_t attention_ = 0;  // calls of attend() since go_to
  std::vector<GrowingMap> layers_ = {};
  std::vector<Past> pasts_ = {};
  std::unique_ptr<PartScan> rows_ = {};
  std::vector<Tensor> row_maps_ = {};
};

}  // namespace elbo::detail
