#pragma once
#include "elbo/data/batch.h"
#include "elbo/math/random.h"

namespace elbo::detail {

/// Consecutive rows of a batch.
struct Rows {
  int64_t begin = 0;
  int64_t count = 0;
};

/// A batch of `size` rows in parts of `part` rows; the last may be shorter.
std::vector<Rows> parts_of(int64_t size, int64_t part);

Batch rows_of(const Batch& batch, Rows rows);

/// The whole batch's numbers, of which each part sees its own: every draw is made for all the rows and cut, so that parts one
/// after the other, each from a stream keyed anew, see what the whole would. What isn't drawn by the row is the same for all.
class PartNoise final : public Noise {
 public:
  PartNoise(Noise& whole, int64_t size, Rows rows) : whole_(whole), size_(size), rows_(rows) {}
  Tensor normal(at::IntArrayRef leading, at::IntArrayRef event) override;
  Tensor uniform(at::IntArrayRef leading, at::IntArrayRef event) override;

 private:
  template <class Draw>
  Tensor cut(at::IntArrayRef leading, const Draw& draw);

  Noise& whole_;
  int64_t size_;
  Rows rows_;
};

}  // namespace elbo::detail
