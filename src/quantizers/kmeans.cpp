#include "elbo/quantizers/kmeans.h"

#include <torch/autograd.h>

#include "elbo/base/error.h"
#include "elbo/math/precision.h"
#include "elbo/ops/code_sums.h"
#include "elbo/quantizers/codebook.h"

namespace elbo {

Tensor drawn_rows(const Tensor& rows, int64_t count, Stream& stream) {
  if (rows.size(0) == 0) throw ShapeError("k-means: there are no rows to start from; is every token masked?");
  std::vector<Tensor> order;
  for (int64_t have = 0; have < count; have += rows.size(0)) order.push_back(stream.permutation(rows.size(0)).to(rows.device()));
  return rows.index_select(0, torch::cat(order).narrow(0, 0, count));
}

Clusters kmeans(const Tensor& given, int64_t num_centres, int64_t iterations, Stream& stream) {
  const torch::NoGradGuard no_grad;
  const auto rows = full_precision(given.detach());
  Clusters clusters{.centres = drawn_rows(rows, num_centres, stream)};
  for (int64_t i = 0; i <= iterations; ++i) {
    const auto sums = code_sums(rows, nearest_by(CodeMetric::euclidean, rows, clusters.centres).index, num_centres);
    clusters.counts = sums.count;
    if (i == iterations) break;
    const auto count = sums.count.unsqueeze(1);
    clusters.centres = torch::where(count > 0, sums.sum / count.clamp_min(1), clusters.centres);
  }
  return clusters;
}

}  // namespace elbo
