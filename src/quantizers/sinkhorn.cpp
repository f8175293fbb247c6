#include "elbo/quantizers/sinkhorn.h"

#include <torch/autograd.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "elbo/math/precision.h"

namespace elbo {
namespace {

/// Calls visit(begin, block) for all rows in order.
template <class Visit>
void for_each_block(const LogKernel& kernel, const Visit& visit) {
  for (int64_t begin = 0; begin < kernel.rows; begin += kernel.rows_at_once) {
    visit(begin, kernel.block(begin, std::min(kernel.rows_at_once, kernel.rows - begin)));
  }
}

/// log sum over rows, grown block by block.
class ColumnLogSum {
 public:
  void add(const Tensor& block) {
    const auto part = block.logsumexp(0);
    sum_ = sum_.defined() ? torch::logaddexp(sum_, part) : part;
  }
  const Tensor& value() const { return sum_; }

 private:
  Tensor sum_;
};

Tensor row_scaling(const Tensor& block, const Tensor& columns, double log_mass) {
  return log_mass - (block + columns).logsumexp(1);
}

/// The columns' scalings after all iterations.
Tensor balanced_columns(const LogKernel& kernel, const SinkhornStop& stop) {
  const double of_row = -std::log(static_cast<double>(kernel.rows)), of_column = -std::log(static_cast<double>(kernel.columns));
  Tensor scaling;
  for (int64_t i = 0; i < std::max<int64_t>(1, stop.iterations); ++i) {
    ColumnLogSum columns;
    for_each_block(kernel, [&](int64_t, const Tensor& block) {
      columns.add(i == 0 ? block : block + row_scaling(block, scaling, of_row).unsqueeze(1));
    });
    const auto next = of_column - columns.value();
    const bool done = i > 0 && stop.tolerance > 0 && (scaling - next).expm1().abs().max().item<double>() <= stop.tolerance;
    scaling = next;
    if (done) break;
  }
  return scaling;
}

/// Distances of a block of tokens; computed twice they are the same bits.
struct Distances {
  Tensor tokens, codes;  // both about the codes' mean: less cancellation
  Tensor block(int64_t begin, int64_t count) const {
    const FullPrecisionScope precise(tokens.device());
    return torch::cdist(tokens.narrow(0, begin, count), codes);
  }
};

struct DistanceMoments {
  Tensor mean = {}, deviation = {};  // 0-dim
};

DistanceMoments moments_of(const LogKernel& distances) {
  const auto type = distances.block(0, 1).options().dtype(torch::kDouble);
  auto sum = torch::zeros({}, type), squares = torch::zeros({}, type);
  for_each_block(distances, [&](int64_t, const Tensor& block) {
    const auto values = block.to(torch::kDouble);
    sum += values.sum();
    squares += values.square().sum();
  });
  const double count = static_cast<double>(distances.rows) * static_cast<double>(distances.columns);
  const auto mean = sum / count;
  const auto variance = (squares - sum * mean) / std::max(1.0, count - 1);
  return {mean, variance.clamp_min(1e-24).sqrt()};
}

/// Holds the blocks where there is room for them.
LogKernel held(LogKernel kernel, double bytes_per_number, int64_t limit) {
  if (static_cast<double>(kernel.rows) * static_cast<double>(kernel.columns) * bytes_per_number > static_cast<double>(limit)) {
    return kernel;
  }
  std::vector<Tensor> blocks;
  for_each_block(kernel, [&](int64_t, const Tensor& block) { blocks.push_back(block); });
  kernel.block = [blocks = std::move(blocks), at_once = kernel.rows_at_once](int64_t begin, int64_t) {
    return blocks[static_cast<size_t>(begin / at_once)];
  };
  return kernel;
}

}  // namespace

LogKernel log_kernel(const Tensor& matrix) {
  return {.rows = matrix.size(0),
          .columns = matrix.size(1),
          .rows_at_once = std::max<int64_t>(1, matrix.size(0)),
          .block = [matrix](int64_t begin, int64_t count) { return matrix.narrow(0, begin, count); }};
}

Scalings sinkhorn(const LogKernel& kernel, const SinkhornStop& stop) {
  const torch::NoGradGuard no_grad;
  const auto columns = balanced_columns(kernel, stop);
  std::vector<Tensor> rows;
  for_each_block(kernel, [&](int64_t, const Tensor& block) {
    rows.push_back(row_scaling(block, columns, -std::log(static_cast<double>(kernel.rows))));
  });
  return {torch::cat(rows), columns};
}

Tensor transported_codes(const Tensor& tokens, const Tensor& codes, const CodeTransport& transport, const Tensor& uniform) {
  const torch::NoGradGuard no_grad;
  if (tokens.size(0) == 0) return torch::zeros({0}, tokens.options().dtype(torch::kLong));
  constexpr int64_t kDistancesAtOnce = int64_t{1} << 21;
  const auto centre = codes.detach().mean(0);
  const Distances distances{tokens.detach() - centre, codes.detach() - centre};
  LogKernel kernel{.rows = tokens.size(0),
                   .columns = codes.size(0),
                   .rows_at_once = std::max<int64_t>(1, kDistancesAtOnce / codes.size(0)),
                   .block = [&](int64_t begin, int64_t count) { return distances.block(begin, count); }};
  kernel = held(kernel, static_cast<double>(tokens.element_size()), transport.bytes);
  // The mean and the least distance would cancel in both scalings; only the deviation changes the plan.
  const auto scale = transport.normalize ? -transport.sharpness / moments_of(kernel).deviation.to(tokens.scalar_type())
                                         : torch::full({}, -transport.sharpness, tokens.options());
  const LogKernel scaled{.rows = kernel.rows,
                         .columns = kernel.columns,
                         .rows_at_once = kernel.rows_at_once,
                         .block = [&](int64_t begin, int64_t count) { return kernel.block(begin, count) * scale; }};
  const auto columns = balanced_columns(scaled, transport.stop);
  std::vector<Tensor> chosen;
  for_each_block(scaled, [&](int64_t begin, const Tensor& block) {
    const auto mass = block + columns;
    if (!uniform.defined()) return chosen.push_back(mass.argmax(1));
    constexpr double kUnits = 0x1p48;  // the running sum of whole numbers is the same on every device and run
    const auto cumulative = mass.to(torch::kDouble).softmax(1).mul(kUnits).to(torch::kLong).cumsum(1);
    const int64_t V = block.size(1);
    const auto at = (uniform.narrow(0, begin, block.size(0)).to(torch::kDouble).unsqueeze(1) * cumulative.narrow(1, V - 1, 1))
                        .to(torch::kLong);
    chosen.push_back(torch::searchsorted(cumulative, at, false, /*right=*/true).squeeze(1).clamp_max(V - 1));
  });
  return torch::cat(chosen);
}

}  // namespace elbo
