#include "elbo/ops/nearest_code.h"

#include <torch/autograd.h>

#include <algorithm>
#include <limits>

#include "cuda_table.h"
#include "elbo/base/error.h"
#include "nearest_code_cpu.h"

namespace elbo {
namespace {

constexpr int64_t kChunkElements = int64_t{1} << 24;  // scores held at once

enum class Want { best, two };

void check_codes(const Tensor& z, const Tensor& codes) {
  const auto got = "nearest_code: z " + shape_text(z.sizes()) + " and codes " + shape_text(codes.sizes());
  if (z.dim() != 2 || codes.dim() != 2 || z.size(1) != codes.size(1)) {
    throw ShapeError(got + ", expected [N, D] and [V, D]; flatten the positions into rows first");
  }
  if (codes.size(0) == 0) throw ShapeError(got + ": there is no code to choose from");
  if (z.device() != codes.device()) {
    throw ShapeError("nearest_code: z is on " + z.device().str() + ", the codes are on " + codes.device().str());
  }
}

/// The squared distance between each row and its code, from the differences: without the cancellation of a product.
Tensor distance_to(const Tensor& z, const Tensor& codes, const Tensor& index) {
  return (z - codes.index_select(0, index)).square().sum(1);
}

enum class Missing { everything, second };

/// From LibTorch's operations, a chunk of rows at a time.
void search_by_operations(const Tensor& z, const Tensor& codes, Missing missing, Nearest& found) {
  const double infinity = std::numeric_limits<double>::infinity();
  const auto centre = codes.nan_to_num(0, 0, 0).mean(0);
  const auto centred = codes - centre;
  const auto half_squares = 0.5 * centred.square().sum(1);
  const int64_t rows = std::max<int64_t>(1, kChunkElements / codes.size(0));
  for (int64_t begin = 0; begin < z.size(0); begin += rows) {
    const auto here = [&](const Tensor& whole) { return whole.narrow(0, begin, std::min(rows, z.size(0) - begin)); };
    auto scores = torch::addmm(half_squares, here(z) - centre, centred.t(), 1, -1);
    scores.nan_to_num_(infinity, infinity, -infinity);
    if (missing == Missing::everything) {
      here(found.index).copy_(scores.argmin(1));  // of equals the first
      here(found.distance).copy_(distance_to(here(z), codes, here(found.index)));
    }
    if (!found.second.defined() || codes.size(0) == 1) continue;
    scores.scatter_(1, here(found.index).unsqueeze(1), infinity);
    here(found.second).copy_(scores.argmin(1));
  }
}

/// By the plugin's kernel; the codes' mean is taken off so that little cancels.
void search_on_cuda(const Tensor& z, const Tensor& codes, Nearest& found) {
  if (z.numel() == 0) return;
  const auto centre = codes.nan_to_num(0, 0, 0).mean(0);
  const Tensor centred_z = z - centre, centred_codes = codes - centre;
  const auto half_squares = 0.5 * centred_codes.square().sum(1);
  const auto best = torch::empty_like(found.index);
  detail::cuda_table()->nearest_code({.z = z.const_data_ptr<float>(),
                                      .codes = codes.const_data_ptr<float>(),
                                      .centred_z = centred_z.const_data_ptr<float>(),
                                      .centred_codes = centred_codes.const_data_ptr<float>(),
                                      .half_squares = half_squares.const_data_ptr<float>(),
                                      .rows = z.size(0),
                                      .num_codes = codes.size(0),
                                      .size = codes.size(1),
                                      .best = reinterpret_cast<uint64_t*>(best.mutable_data_ptr<int64_t>()),
                                      .index = found.index.mutable_data_ptr<int64_t>(),
                                      .distance = found.distance.mutable_data_ptr<float>(),
                                      .device = z.get_device()});
}

Nearest search_codes(const Tensor& given_z, const Tensor& given_codes, Want want) {
  check_codes(given_z, given_codes);
  const torch::NoGradGuard no_grad;
  const auto type = given_z.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const auto z = given_z.detach().to(type).contiguous(), codes = given_codes.detach().to(type).contiguous();
  const int64_t rows = z.size(0);
  Nearest found{.index = torch::zeros({rows}, z.options().dtype(at::kLong)), .distance = torch::zeros({rows}, z.options())};
  if (want == Want::two) found.second = torch::full({rows}, -1, z.options().dtype(at::kLong));
  if (z.is_cpu() && type == at::kFloat) {
    detail::search_nearest_code({.z = z.const_data_ptr<float>(),
                                 .codes = codes.const_data_ptr<float>(),
                                 .N = rows,
                                 .V = codes.size(0),
                                 .D = codes.size(1),
                                 .index = found.index.mutable_data_ptr<int64_t>(),
                                 .distance = found.distance.mutable_data_ptr<float>()});
    if (want == Want::two) search_by_operations(z, codes, Missing::second, found);
  } else if (z.is_cuda() && type == at::kFloat && detail::cuda_table() != nullptr) {
    search_on_cuda(z, codes, found);
    if (want == Want::two) search_by_operations(z, codes, Missing::second, found);
  } else {
    search_by_operations(z, codes, Missing::everything, found);
  }
  const auto bad = found.distance.isfinite().logical_not_();
  found.index.masked_fill_(bad, 0);
  found.not_finite = bad.sum();
  return found;
}

}  // namespace

Nearest nearest_code(const Tensor& z, const Tensor& codes) { return search_codes(z, codes, Want::best); }

Nearest nearest_two_codes(const Tensor& z, const Tensor& codes) { return search_codes(z, codes, Want::two); }

}  // namespace elbo
