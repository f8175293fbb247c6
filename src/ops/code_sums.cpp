#include "elbo/ops/code_sums.h"

#include <ATen/Parallel.h>
#include <torch/autograd.h>

#include <algorithm>
#include <vector>

#include "cuda_table.h"
#include "elbo/base/error.h"

namespace elbo {
namespace {

void check_rows(const Tensor& z, const Tensor& index, int64_t num_codes, const Tensor& mask) {
  if (z.dim() != 2) throw ShapeError("code_sums: z " + shape_text(z.sizes()) + ", expected [N, D]");
  if (num_codes < 1) throw ShapeError("code_sums: " + std::to_string(num_codes) + " codes, expected at least one");
  check_shape(index, {z.size(0)}, "index of code_sums");
  if (mask.defined()) check_shape(mask, {z.size(0)}, "mask of code_sums");
  if (index.device() != z.device() || (mask.defined() && mask.device() != z.device())) {
    throw ShapeError("code_sums: z, index and mask are on different devices");
  }
}

/// The rows that count sorted by their code, a code's own rows in their order.
struct Sorted {
  std::vector<int64_t> row = {};    // [rows that count]
  std::vector<int64_t> begin = {};  // [V + 1]: code v owns row[begin[v]] to row[begin[v + 1] - 1]
};

Sorted sort_by_code(const Tensor& index, int64_t num_codes, const Tensor& mask) {
  const auto* codes = index.const_data_ptr<int64_t>();
  const bool* counts = mask.defined() ? mask.const_data_ptr<bool>() : nullptr;
  Sorted sorted;
  sorted.begin.assign(static_cast<size_t>(num_codes) + 1, 0);
  const int64_t rows = index.size(0);
  for (int64_t n = 0; n < rows; ++n) {
    if (counts && !counts[n]) continue;
    if (codes[n] < 0 || codes[n] >= num_codes) {
      throw UsageError("code_sums: row " + std::to_string(n) + " has code " + std::to_string(codes[n]) + ", expected 0 to " +
                       std::to_string(num_codes - 1));
    }
    ++sorted.begin[static_cast<size_t>(codes[n]) + 1];
  }
  for (size_t v = 1; v < sorted.begin.size(); ++v) sorted.begin[v] += sorted.begin[v - 1];
  sorted.row.resize(static_cast<size_t>(sorted.begin.back()));
  auto place = sorted.begin;
  for (int64_t n = 0; n < rows; ++n) {
    if (!counts || counts[n]) sorted.row[static_cast<size_t>(place[static_cast<size_t>(codes[n])]++)] = n;
  }
  return sorted;
}

template <class T>
void add_rows(const Tensor& z, const Sorted& sorted, const CodeSums& sums) {
  const int64_t D = z.size(1), V = sums.count.size(0);
  const T* rows = z.const_data_ptr<T>();
  auto* count = sums.count.mutable_data_ptr<int64_t>();
  T* out = sums.sum.mutable_data_ptr<T>();
  constexpr int64_t kElementsATask = int64_t{1} << 15;
  const auto per_code = std::max<int64_t>(1, (static_cast<int64_t>(sorted.row.size()) / V + 1) * D);
  at::parallel_for(0, V, std::max<int64_t>(1, kElementsATask / per_code), [&](int64_t first, int64_t last) {
    std::vector<double> total(static_cast<size_t>(D));
    for (int64_t v = first; v < last; ++v) {
      const auto begin = sorted.begin[static_cast<size_t>(v)], end = sorted.begin[static_cast<size_t>(v) + 1];
      count[v] = end - begin;
      std::fill(total.begin(), total.end(), 0.0);
      for (auto i = begin; i < end; ++i) {
        const T* row = rows + sorted.row[static_cast<size_t>(i)] * D;
        for (int64_t d = 0; d < D; ++d) total[static_cast<size_t>(d)] += static_cast<double>(row[d]);
      }
      for (int64_t d = 0; d < D; ++d) out[v * D + d] = static_cast<T>(total[static_cast<size_t>(d)]);
    }
  });
}

/// Elsewhere: a stable sort, then sums of stretches, whose order is fixed.
CodeSums sums_by_operations(const Tensor& z, const Tensor& index, int64_t num_codes, const Tensor& mask) {
  // Rows that don't count go to one code more.
  const auto codes = mask.defined() ? torch::where(mask, index, num_codes) : index;
  const auto order = codes.argsort(/*stable=*/true, 0, false);
  const auto edges = torch::arange(num_codes + 1, index.options());
  const auto begin = torch::searchsorted(codes.index_select(0, order), edges);
  const auto count = begin.narrow(0, 1, num_codes) - begin.narrow(0, 0, num_codes);
  const auto offsets = torch::cat({begin, torch::full({1}, z.size(0), begin.options())});
  if (z.is_cuda() && detail::cuda_table() != nullptr) {
    const CodeSums sums{count, torch::empty({num_codes, z.size(1)}, z.options())};
    if (sums.sum.numel() > 0) {
      detail::cuda_table()->code_sums(
          {.z = z.const_data_ptr(),
           .order = order.const_data_ptr<int64_t>(),
           .begin = begin.const_data_ptr<int64_t>(),
           .num_codes = num_codes,
           .size = z.size(1),
           .scalar = z.scalar_type() == at::kFloat ? cuda_plugin::Scalar::float32 : cuda_plugin::Scalar::float64,
           .device = z.get_device()},
          sums.sum.mutable_data_ptr());
    }
    return sums;
  }
  const auto sorted = z.index_select(0, order).to(at::kDouble);
  const auto sums = torch::segment_reduce(sorted, "sum", {}, {}, offsets, 0, /*unsafe=*/true, 0.0);
  return {count, sums.narrow(0, 0, num_codes).to(z.scalar_type())};
}

}  // namespace

CodeSums code_sums(const Tensor& z, const Tensor& index, int64_t num_codes, const Tensor& mask) {
  check_rows(z, index, num_codes, mask);
  const torch::NoGradGuard no_grad;
  const auto type = z.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const auto rows = z.detach().to(type).contiguous();
  const auto codes = index.to(at::kLong).contiguous();
  const auto counts = mask.defined() ? mask.to(at::kBool).contiguous() : mask;
  if (!z.is_cpu()) return sums_by_operations(rows, codes, num_codes, counts);
  CodeSums sums{torch::zeros({num_codes}, codes.options()), torch::zeros({num_codes, z.size(1)}, rows.options())};
  const auto sorted = sort_by_code(codes, num_codes, counts);
  if (type == at::kFloat) {
    add_rows<float>(rows, sorted, sums);
  } else {
    add_rows<double>(rows, sorted, sums);
  }
  return sums;
}

}  // namespace elbo
