#pragma once
#include <array>
#include <string_view>
#include <utility>
#include <vector>

#include "elbo/math/shapes.h"

namespace elbo {

/// What one number stands for a block's errors.
enum class BlockScore {
  maximum,  // the largest: a block is covered where all of it is
  quantile  // the in-block (1 - inner_alpha) quantile: where at least that share of it is
};
constexpr auto enum_names(BlockScore) {
  return std::array{std::pair{std::string_view("maximum"), BlockScore::maximum},
                    std::pair{std::string_view("quantile"), BlockScore::quantile}};
}

/// Which blocks share a threshold.
enum class BlockPooling {
  none,  // each place of the map has its own
  all    // one for all: less scatter from one calibration set to the next
};
constexpr auto enum_names(BlockPooling) {
  return std::array{std::pair{std::string_view("none"), BlockPooling::none},
                    std::pair{std::string_view("all"), BlockPooling::all}};
}

struct BlockConformalOptions {
  int64_t block = 4;    // side of a block, 1 = pixels; the last blocks may be smaller. 0 = the whole map
  double alpha = 0.05;  // what may be missed
  BlockScore score = BlockScore::maximum;
  double inner_alpha = 0.05;  // of BlockScore::quantile
  BlockPooling pooling = BlockPooling::none;
  double epsilon = 1e-6;  // added to scales
};

/// Which blocks and pixels of some rows lie within their intervals.
struct BlockCoverage {
  Tensor blocks = {};  // share of each row's blocks, [B] float64
  Tensor pixels = {};  // share of each row's numbers, [B] float64
};

/// Intervals around a reconstruction, one width a block, which a new example's blocks miss at most as often as asked for,
/// whatever the model: the threshold is the ceil((n + 1) (1 - alpha))-th smallest score of n calibration rows, infinite where
/// that is more than n. Needs nothing but calibration rows and new ones that could have been exchanged: none that the model was
/// trained on. Source: split conformal prediction, Lei et al. 2018 (arXiv:1604.04173), algorithm 2, with scores divided by a
/// scale as in its section 5.2; blocks after Minoza 2025 (arXiv:2504.14372). Differs: that paper's bounds are 1.96 standard
/// deviations of block means, which promise nothing. Pooled over blocks, the threshold is the ceil((n + 1) (1 - alpha) b)-th of
/// the n b scores: blocks of one example depend on each other, so that n b of them are not n b examples (Dunn et al. 2023,
/// arXiv:1809.07441); the promise is then about a block at random. Shapes: errors |x - reconstruction| of rows [B, C, H, W], [B,
/// H, W] or [B, W]; a block spans all channels.
class BlockConformal {
 public:
  /// `scale`: a number for each block, [h, w], such as block_means() of training rows, that widths are in proportion to before
  /// thresholds are found; must not come from the calibration rows. Undefined = 1. Throws: UsageError for options out of range.
  explicit BlockConformal(const BlockConformalOptions& options, Tensor scale = {});

  /// Adds calibration rows. Throws: NumericalError for NaN; ShapeError for rows of another shape than the first.
  void calibrate(const Tensor& errors);
  int64_t num_rows() const { return num_rows_; }
  /// The fewest rows with which no threshold is infinite.
  static int64_t least_rows(double alpha);

  /// What scores are compared with, [h, w], float64. Throws: UsageError before any calibration.
  const Tensor& thresholds() const;
  /// Half the width of the interval of each place, [H, W], float64.
  Tensor half_widths() const;
  /// Mean over places of upper minus lower bound.
  double width() const;
  /// Shapes: [B, C, H, W] or as the errors were -> the same.
  Tensor lower(const Tensor& reconstructions) const;
  Tensor upper(const Tensor& reconstructions) const;
  BlockCoverage coverage(const Tensor& errors) const;

 private:
  /// Shapes: [B, C, H, W] -> [B, h, w].
  Tensor scores(const Tensor& errors) const;
  Tensor scale_of(const Tensor& blocks) const;
  Tensor as_maps(const Tensor& rows) const;

  BlockConformalOptions options_;
  Tensor scale_;
  Shape shape_ = {};  // of one row, [C, H, W]
  int64_t num_rows_ = 0;
  std::vector<Tensor> scores_ = {};
  mutable Tensor thresholds_ = {};  // of the rows so far; undefined when more have come
};

/// Mean error of each block over rows, channels and places. Shapes: as BlockConformal's errors -> [h, w] float64.
Tensor block_means(const Tensor& errors, int64_t block);

/// Between which shares of `num_new` examples a block is covered in `probability` of all cases, over calibration sets of
/// `num_calibration` too: the number covered is beta-binomial with k and n + 1 - k, k = ceil((n + 1) (1 - alpha)).
/// Source: Vovk 2012 (arXiv:1209.2673), proposition 2.
struct CoverageBand {
  double low = 0;
  double high = 1;
};
CoverageBand coverage_band(int64_t num_calibration, int64_t num_new, double alpha, double probability);

}  // namespace elbo
