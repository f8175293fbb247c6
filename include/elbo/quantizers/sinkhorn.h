#pragma once
#include <functional>

#include "elbo/math/shapes.h"

namespace elbo {

/// Minus a cost times its sharpness, [N, V], a block of rows at a time: the whole need not be held. Asked for the same block
/// twice it gives the same bits.
struct LogKernel {
  int64_t rows = 0, columns = 0;
  int64_t rows_at_once = 0;
  std::function<Tensor(int64_t begin, int64_t count)> block = {};  // [count, V]
};
/// Of a matrix at hand.
LogKernel log_kernel(const Tensor& matrix);

struct SinkhornStop {
  int64_t iterations = 5;
  double tolerance = 0;  // stops where no column's mass is farther from 1/V than this share of it; 0: never, without a look
};

/// Scalings of rows and columns in logarithms: the transport plan is exp(rows_n + kernel_nk + columns_k).
struct Scalings {
  Tensor rows = {};     // [N]
  Tensor columns = {};  // [V]
};

/// Sinkhorn's algorithm towards mass 1/V in each column and, exactly, 1/N in each row, starting with the columns. All in
/// logarithms: a code that is far from every token is found, where exp(kernel) is zero in float32.
/// Source: Cuturi 2013 (arXiv:1306.0895), algorithm 1. Gradient: none.
Scalings sinkhorn(const LogKernel& kernel, const SinkhornStop& stop);

struct CodeTransport {
  double sharpness = 10;  // of the entropic plan: exp(-sharpness distance)
  bool normalize = true;  // distances: mean and standard deviation of the batch taken out
  SinkhornStop stop = {};
  int64_t bytes = 512 << 20;  // above it the distances are computed again in each pass instead of held
};

/// For each token the code that most of its mass goes to in the entropic transport plan from all tokens evenly to all codes
/// evenly, the cost being the Euclidean distance. `uniform` [N] in [0, 1): a code drawn from the token's row of the plan instead.
/// Shapes: tokens [N, D], codes [V, D] -> int64 [N]. Gradient: none.
Tensor transported_codes(const Tensor& tokens, const Tensor& codes, const CodeTransport& transport, const Tensor& uniform = {});

}  // namespace elbo
