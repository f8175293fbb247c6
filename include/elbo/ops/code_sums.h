#pragma once
#include "elbo/math/shapes.h"

namespace elbo {

struct CodeSums {
  Tensor count = {};  // int64 [V]
  Tensor sum = {};    // [V, D], float64 for float64 z, else float32
};

/// How often each code was chosen and the sum of the rows that chose it: the statistics of a codebook learnt by moving averages,
/// van den Oord et al. 2017 (arXiv:1711.00937), eqs. 6 and 7. Rows where `mask` is false don't count. Each code's rows are added
/// in their order by one thread in float64, so that neither the number of threads nor the device's schedule changes a bit; no
/// N x V numbers are held.
/// Shapes: z [N, D], index int64 [N], mask bool [N] or undefined. Gradient: none.
/// Throws: ShapeError for other shapes, UsageError on the CPU for an index outside 0 to V - 1 of a row that counts.
CodeSums code_sums(const Tensor& z, const Tensor& index, int64_t num_codes, const Tensor& mask = {});

}  // namespace elbo
