#include "elbo/quantizers/tokens.h"

#include "elbo/math/precision.h"

namespace elbo {

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

}  // namespace elbo
