#include "elbo/quantizers/codebook.h"

#include <torch/autograd.h>

#include "elbo/base/error.h"
#include "elbo/math/init.h"
#include "elbo/math/precision.h"
#include "elbo/quantizers/tokens.h"

namespace elbo {

void check_codebook(int64_t codes, int64_t code_size, std::string_view quantizer) {
  check_num_parameters(static_cast<double>(codes) * static_cast<double>(code_size), "the codebook of " + std::string(quantizer));
}

Tensor initial_codes(CodebookInit init, int64_t codes, int64_t code_size, Stream& stream) {
  if (init == CodebookInit::uniform) return (stream.uniform({codes}, {code_size}) * 2 - 1) / static_cast<double>(codes);
  return stream.normal({codes}, {code_size});
}

void check_tokens(const Tensor& z, const Tensor& mask, int64_t size, std::string_view quantizer) {
  if (z.dim() < 2 || z.size(-1) != size) {
    throw ShapeError(std::string(quantizer) + ": got tokens of shape " + shape_text(z.sizes()) + ", expected [B, ..., " +
                     std::to_string(size) + "], channels last");
  }
  if (mask.defined()) check_shape(mask, z.sizes().slice(0, z.dim() - 1), std::string(quantizer) + "'s mask");
}

// Clamped before the root, whose slope at zero is infinite.
Tensor unit_rows(const Tensor& rows) { return rows / rows.square().sum(-1, true).clamp_min(1e-24).sqrt(); }

Nearest nearest_by(CodeMetric metric, const Tensor& rows, const Tensor& codes) {
  const torch::NoGradGuard no_grad;
  const FullPrecisionScope precise(rows.device());
  if (metric == CodeMetric::cosine) return nearest_code(unit_rows(rows), unit_rows(codes));
  return nearest_code(rows, codes);
}

Tensor nearest_indices(CodeMetric metric, const Tensor& z, const Tensor& codes, const Tensor& mask) {
  const auto index = nearest_by(metric, to_rows(z.detach()), codes).index.view(z.sizes().slice(0, z.dim() - 1));
  return (mask.defined() ? torch::where(mask, index, -1) : index).unsqueeze(-1);
}

Tensor look_up(const Tensor& codes, const Tensor& indices) {
  const auto index = indices.squeeze(-1);
  const auto found = torch::embedding(codes, index.clamp_min(0));
  return torch::where(index.ge(0).unsqueeze(-1), found, torch::zeros({}, codes.options()));
}

Quantization quantized_by(const Tensor& z, const Tensor& codes, const Tensor& indices, const Tensor& mask,
                          const CodeLosses& losses) {
  const auto counted = mask.defined() ? z.masked_fill(mask.logical_not().unsqueeze(-1), 0) : z;  // else a NaN left out reaches z
  const auto code = mask.defined() ? look_up(codes, indices) : torch::embedding(codes, indices.squeeze(-1));
  Quantization result{.value = pass_gradient(counted, code, losses.gradient), .indices = indices};
  const auto elements = elements_of(z);
  if (losses.codebook.defined()) {
    result.terms.push_back({.name = "codebook",
                            .value = squared_error(counted.detach(), code, mask),
                            .weight = losses.codebook,
                            .elements = elements});
  }
  result.terms.push_back({.name = "commitment",
                          .value = squared_error(counted, code.detach(), mask),
                          .weight = losses.commitment,
                          .elements = elements});
  if (losses.gradient == GradientEstimator::rotation) {
    const auto scales = rotation_scales(counted_rows(z, mask), counted_rows(code, mask));
    result.readings.push_back({"rotation_scale", scales.mean});
    result.readings.push_back({"rotation_clamped", scales.clamped});
  }
  return result;
}

}  // namespace elbo
