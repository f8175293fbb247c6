#pragma once
#include "elbo/math/random.h"

namespace elbo {

struct Clusters {
  Tensor centres = {};  // [V, D]
  Tensor counts = {};   // int64 [V], of the rows by these centres
};

/// Rows drawn without replacement; where there are fewer than `count` they are all drawn, again and again.
/// Shapes: [N, D] -> [count, D]. Throws: ShapeError without any row.
Tensor drawn_rows(const Tensor& rows, int64_t count, Stream& stream);

/// Lloyd's algorithm from drawn_rows(); a centre that no row
/// is nearest to stays. With 0 iterations the centres are the rows drawn. Shapes: rows [N, D]. Gradient: none.
/// Throws: ShapeError without any row.
Clusters kmeans(const Tensor& rows, int64_t num_centres, int64_t iterations, Stream& stream);

}  // namespace elbo
