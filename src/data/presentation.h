#pragma once
#include "elbo/data/dataset.h"
#include "elbo/data/options.h"

namespace elbo::detail {

enum class Bits { to_draw, drawn };

/// From rows as they are kept (bytes, float32) to what a model sees, the same for every set: flipped, scaled, dequantised or
/// binarised, and where x is coarse averaged over squares last. Training rows draw from the stream, in this order: which rows are
/// flipped, then a number for each pixel. Rows of the other splits draw by the run's seed and their place alone.
class Presentation {
 public:
  /// Throws: ConfigError when the values can't be treated as asked.
  Presentation(const FieldSpec& stored, const DataOptions& options, uint64_t seed);

  /// Writes what a model sees: `x`, and where it is coarse `target`, the whole picture.
  void describe(DataSpec& spec) const;
  /// The same fields of these rows, float32 [B, ...]. `Bits::drawn`: the rows were binarised before they were kept.
  void add_to(Batch& batch, const Tensor& rows, Split split, Stream& stream, Bits bits = Bits::to_draw) const;
  /// The mean of x over training rows as they are presented, from that of the rows as numbers.
  Tensor mean(const Tensor& of_numbers) const;
  /// What of this decides numbers and can't be seen in the rows kept; empty where nothing does.
  std::string fingerprint() const;

 private:
  void check_coarse() const;
  Tensor present(const Tensor& rows, Split split, const Tensor& index, Stream& stream, Bits bits) const;
  /// Means over squares. Shapes: [..., C, H, W].
  Tensor coarse(const Tensor& pictures) const;
  Tensor uniform(const Tensor& like, Split split, const Tensor& index, Stream& stream) const;

  FieldSpec stored_;
  FieldSpec seen_;  // the whole picture
  DataOptions options_;
  uint64_t seed_;
};

/// Numbers as a model sees them: float32, unit fields in [0, 1].
Tensor numbers(const Tensor& stored, const FieldSpec& spec);

}  // namespace elbo::detail
