#include "elbo/quantizers/gaussian_codebook.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/_sobol_engine_draw.h>
#include <ATen/ops/_sobol_engine_initialize_state.h>
#include <ATen/ops/_sobol_engine_scramble.h>

#include <algorithm>

#include "elbo/base/error.h"
#include "elbo/math/precision.h"

namespace elbo {
namespace {

constexpr int64_t kSobolBits = 30, kSobolDimensions = 21'201, kMostCodes = int64_t{1} << 24;
constexpr int64_t kScoresHeld = int64_t{1} << 22;

/// [num_points, size] in (0, 1), float64.
Tensor scrambled_sobol_points(int64_t num_points, int64_t size, uint64_t seed) {
  auto generator = at::detail::createCPUGenerator(seed);
  const auto bits = torch::dtype(torch::kLong);
  const auto shift_bits = torch::randint(0, 2, {size, kSobolBits}, generator, bits);
  const auto shift = torch::mv(shift_bits, torch::pow(2, torch::arange(kSobolBits, bits)));
  const auto mixing = torch::randint(0, 2, {size, kSobolBits, kSobolBits}, generator, bits).tril();
  auto state = torch::zeros({size, kSobolBits}, bits);
  at::_sobol_engine_initialize_state_(state, size);
  at::_sobol_engine_scramble_(state, mixing, size);
  const double cell = 1.0 / static_cast<double>(int64_t{1} << kSobolBits);
  auto points = (shift.to(torch::kDouble) * cell).unsqueeze(0);
  if (num_points > 1) {
    const auto drawn = at::_sobol_engine_draw(shift.clone(), num_points - 1, state, size, 0, at::kDouble);
    points = torch::cat({points, std::get<0>(drawn)});
  }
  return points + 0.5 * cell;
}

}  // namespace

Tensor gaussian_codebook(int64_t num_codes, int64_t size, uint64_t seed) {
  if (num_codes < 1 || num_codes > kMostCodes || size < 1 || size > kSobolDimensions) {
    throw UsageError("gaussian_codebook: got " + std::to_string(num_codes) + " codes of size " + std::to_string(size) +
                     ", expected 1 to 2^24 codes of size 1 to " + std::to_string(kSobolDimensions));
  }
  const torch::NoGradGuard no_grad;
  return torch::special_ndtri(scrambled_sobol_points(num_codes, size, seed)).to(torch::kFloat);
}

Tensor gaussian_code(const Tensor& mean, const Tensor& log_var, const Tensor& codes, double beta) {
  if (mean.dim() != 2 || mean.sizes() != log_var.sizes() || codes.dim() != 2 || mean.size(1) != codes.size(1)) {
    throw ShapeError("gaussian_code: mean " + shape_text(mean.sizes()) + ", log_var " + shape_text(log_var.sizes()) +
                     " and codes " + shape_text(codes.sizes()) + ", expected [N, D] twice and [V, D]");
  }
  const torch::NoGradGuard no_grad;
  const FullPrecisionScope precise(codes.device());
  // With one or two numbers a code, codes are so dense that float32 could not tell neighbours apart by the difference of two
  // large terms.
  const auto type = codes.size(1) <= 2 ? at::kDouble : mean.scalar_type();
  const auto precision = log_var.to(type).neg().exp();
  const auto of_row = torch::cat({0.5 * (beta - precision), mean.to(type) * precision}, 1);  // [N, 2D]
  const auto of_code = torch::cat({codes.to(type).square(), codes.to(type)}, 1).t();         // [2D, V]
  auto index = torch::empty({mean.size(0)}, mean.options().dtype(torch::kLong));
  const int64_t rows = std::max<int64_t>(1, kScoresHeld / codes.size(0));
  for (int64_t begin = 0; begin < mean.size(0); begin += rows) {
    const int64_t count = std::min(rows, mean.size(0) - begin);
    index.narrow(0, begin, count).copy_(torch::mm(of_row.narrow(0, begin, count), of_code).argmax(1));
  }
  return index;
}

}  // namespace elbo
