#pragma once
#include "elbo/math/shapes.h"

namespace elbo {

/// V codes that lie like N(0, I): scrambled Sobol points through the inverse normal distribution function, float32 on the host. A
/// function of its arguments alone: the scrambling is PyTorch's SobolEngine(size, scramble=True, seed), point for point; points
/// are moved to the middle of their cell of 2^-30, so that every code is finite.
/// Source: Owen 1998 (Journal of Complexity 14); direction numbers of Joe & Kuo 2008. Shapes: [num_codes, size].
/// Throws: UsageError for a size above 21,201 or more than 2^24 codes.
Tensor gaussian_codebook(int64_t num_codes, int64_t size, uint64_t seed);

/// For each row the code that maximises log N(code; mean, exp(log_var)) - beta log N(code; 0, 1). Of codes with the same computed
/// score the lowest index wins. One matrix product with inner size 2 D for each block of rows: N x V numbers are never held.
/// Shapes: mean and log_var [N, D], codes [V, D] -> int64 [N]. Gradient: none.
Tensor gaussian_code(const Tensor& mean, const Tensor& log_var, const Tensor& codes, double beta);

}  // namespace elbo
