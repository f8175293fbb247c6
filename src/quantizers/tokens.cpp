#include "elbo/quantizers/tokens.h"

#include "elbo/math/precision.h"

namespace elbo {
namespace {

/// One group's codes from uniform numbers of 48 bits. Shapes: [..., 2] -> int64 [...].
Tensor codes_at(const Tensor& u, int64_t size) {
  constexpr double kSteps = 1 << 24;
  const auto coarse = (u.select(-1, 0).to(torch::kDouble) * kSteps).floor();
  const auto fine = (coarse + u.select(-1, 1).to(torch::kDouble)) / kSteps;
  return (fine * static_cast<double>(size)).to(torch::kLong).clamp_max(size - 1);
}

}  // namespace

Tensor to_tokens(const Tensor& map) { return map.permute({0, 2, 3, 1}); }

Tensor to_map(const Tensor& tokens) { return tokens.permute({0, 3, 1, 2}); }

Tensor to_rows(const Tensor& z) { return full_precision(z).reshape({-1, z.size(-1)}); }

Tensor sum_tokens(const Tensor& per_token, const Tensor& mask) {
  const auto counted = mask.defined() ? torch::where(mask, per_token, torch::zeros({}, per_token.options())) : per_token;
  return sum_after(counted, 1);
}

double elements_of(const Tensor& z) { return static_cast<double>(z[0].numel()); }

Tensor squared_error(const Tensor& z, const Tensor& code, const Tensor& mask) {
  return sum_tokens((full_precision(z) - code).square().sum(-1), mask);
}

Tensor fill_left_out(const Tensor& tokens, const Tensor& mask, double fill) {
  return mask.defined() ? tokens.masked_fill(mask.logical_not().unsqueeze(-1), fill) : tokens;
}

Tensor counted_rows(const Tensor& z, const Tensor& mask) {
  const auto rows = to_rows(z);
  return mask.defined() ? rows.index_select(0, mask.reshape({-1}).nonzero().squeeze(1)) : rows;
}

Tensor random_codes(const CodeSpace& space, int64_t count, at::IntArrayRef places, Noise& noise) {
  if (!space.bounded()) return noise.normal({count}, joined(places, {space.groups()})).round().to(torch::kLong);
  const auto u = noise.uniform({count}, joined(places, {space.groups(), 2}));
  std::vector<Tensor> groups;
  for (int64_t g = 0; g < space.groups(); ++g) {
    groups.push_back(codes_at(u.select(-2, g), space.sizes[static_cast<size_t>(g)]));
  }
  return torch::stack(groups, -1);
}

}  // namespace elbo
