#include "elbo/code_priors/code_prior.h"

#include <algorithm>

#include "cross_entropy.h"
#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/math/precision.h"

namespace elbo {
namespace {

void check_codes(const Tensor& codes, const CodeGrid& grid) {
  check_shape(codes, {kAnyExtent, grid.height, grid.width, grid.groups}, "codes of the prior");
}

CodeCondition rows_of(const CodeCondition& condition, int64_t from, int64_t count) {
  return {.label = condition.label.defined() ? condition.label.narrow(0, from, count) : Tensor(),
          .above = condition.above.defined() ? condition.above.narrow(0, from, count) : Tensor()};
}

/// Shapes: logits [B, T, V], codes [B, h, w, G] -> [B].
Tensor summed_log_prob(const Tensor& logits, const Tensor& codes) {
  return detail::code_log_prob(full_precision(logits.flatten(0, 1)), codes.flatten()).view({codes.size(0), -1}).sum(1);
}

}  // namespace

Tensor AutoregressiveCodePrior::log_prob(const Tensor& codes, const CodeCondition& condition) {
  check_codes(codes, grid());
  const auto B = codes.size(0);
  // Without gradients only the results have to be kept, so the logits of all rows never stand in memory at once.
  constexpr int64_t kNumbers = int64_t{1} << 25;
  const auto a_row = std::max<int64_t>(1, codes[0].numel() * grid().vocabulary);
  const auto rows = at::GradMode::is_enabled() ? B : std::clamp<int64_t>(kNumbers / a_row, 1, B);
  std::vector<Tensor> parts;
  for (int64_t from = 0; from < B; from += rows) {
    const auto count = std::min(rows, B - from);
    const auto part = codes.narrow(0, from, count);
    parts.push_back(summed_log_prob(logits(part, rows_of(condition, from, count), floating_arithmetic(), nullptr), part));
  }
  return parts.size() == 1 ? parts[0] : at::cat(parts);
}

CodeLoss AutoregressiveCodePrior::loss(const Tensor& codes, const CodeCondition& condition, Step& step) {
  check_codes(codes, grid());
  const auto log_p =
      step.training ? summed_log_prob(logits(codes, condition, floating_arithmetic(), &step), codes) : log_prob(codes, condition);
  return {.value = -log_p, .bound = log_p.detach()};
}

Tensor AutoregressiveCodePrior::sample(int64_t B, const CodeCondition& condition, const CodeSampling& sampling, Noise& noise) {
  const torch::NoGradGuard no_grad;
  const auto& of = grid();
  const auto decoding = start(B, condition, floating_arithmetic());
  std::vector<Tensor> codes;
  for (int64_t t = 0; t < of.height * of.width * of.groups; ++t) {
    codes.push_back(draw_codes(decoding->next(t == 0 ? Tensor() : codes.back()), sampling, noise));
  }
  return at::stack(codes, 1).view({B, of.height, of.width, of.groups});
}

namespace {

/// The first code at which the cumulated probability exceeds u of the total. Shapes: [B, V], [B, 1] -> [B, 1].
Tensor at_quantile(const Tensor& probabilities, const Tensor& u) {
  const auto cumulated = probabilities.cumsum(1);
  const auto total = cumulated.narrow(1, cumulated.size(1) - 1, 1);
  return cumulated.gt(u * total).to(at::kByte).argmax(1, /*keepdim=*/true);
}

}  // namespace

Tensor draw_codes(const Tensor& logits, const CodeSampling& sampling, Noise& noise) {
  if (!(sampling.temperature >= 0))
    throw UsageError(text("temperature of codes: must be at least 0, got ", sampling.temperature));
  if (sampling.top_k < 0) throw UsageError(text("top_k of codes: must be at least 0 (0 = all), got ", sampling.top_k));
  if (!(sampling.top_p > 0 && sampling.top_p <= 1)) {
    throw UsageError(text("top_p of codes: must be in (0, 1], got ", sampling.top_p));
  }
  const torch::NoGradGuard no_grad;
  if (sampling.temperature == 0) return logits.argmax(1);
  const auto all = logits.to(at::kDouble);
  const auto scaled =
      (all - all.amax(1, /*keepdim=*/true)) / sampling.temperature;  // no temperature is too low for the largest, 0
  const auto u = noise.uniform({1, logits.size(0)}, {1})[0].to(at::kDouble);
  if (sampling.top_k == 0 && sampling.top_p == 1) return at_quantile(at::softmax(scaled, 1), u).squeeze(1);
  const auto V = logits.size(1);
  const auto kept = sampling.top_k == 0 ? V : std::min(sampling.top_k, V);
  const auto [likeliest, codes] = scaled.topk(kept, 1);  // sorted
  auto p = at::softmax(likeliest, 1);
  if (sampling.top_p < 1) p = p.masked_fill(p.cumsum(1).sub_(p).ge_(sampling.top_p).to(at::kBool), 0);
  return codes.gather(1, at_quantile(p, u)).squeeze(1);
}

}  // namespace elbo
