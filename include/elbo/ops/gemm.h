#pragma once
#include <cstdint>

namespace elbo {

/// A float32 matrix in memory by its strides, counted in elements; a transposed one has them swapped.
struct MatrixView {
  const float* data = nullptr;
  int64_t row_stride = 0;
  int64_t column_stride = 1;
};

enum class GemmInto { replace, add };

/// C = A B, or C += A B, and after that the bias.
struct Gemm {
  int64_t M = 0, N = 0, K = 0;
  MatrixView a = {};            // [M, K]
  MatrixView b = {};            // [K, N]
  float* c = nullptr;           // [M, N], each row contiguous
  int64_t c_row_stride = 0;     // >= N
  const float* bias = nullptr;  // [N], added to each row; none where null
  GemmInto into = GemmInto::replace;
};

/// The product by packed panels that stay in the caches: Goto & van de Geijn 2008 (doi:10.1145/1356052.1356053). For A, B and
/// their transposes; other strides work, slowly. AVX-512, AVX2 or plain vectors as instructions_in_use() says. Every element of C
/// is one thread's and its sum runs over K in a fixed order, so that the number of threads doesn't change a bit. NaN and
/// infinities propagate as in any sum. The packed panels lie in memory that the calling thread keeps (at most 8 MB) and that the
/// next product uses again. C may not overlap A, B or the bias.
void gemm(const Gemm& product);

}  // namespace elbo
