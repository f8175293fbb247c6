#include "elbo/quantizers/usage.h"

#include "elbo/quantizers/tokens.h"

namespace elbo {
namespace {

/// How many of the sorted codes equal each of them.
Tensor occurrences(const Tensor& sorted) {
  const auto first = torch::searchsorted(sorted, sorted);
  return torch::searchsorted(sorted, sorted, /*out_int32=*/false, /*right=*/true) - first;
}

/// A number that whole rows of integers have in common only where they are equal, but for chance.
Tensor row_keys(const Tensor& rows) {
  auto key = torch::zeros(rows.sizes().slice(0, rows.dim() - 1), rows.options());
  constexpr int64_t kFactor = 6364136223846793005;  // wraps around
  for (const auto& coordinate : rows.unbind(-1)) key = (key + coordinate) * kFactor + 1442695040888963407;
  return key;
}

BatchUsage usage_of_counts(const Tensor& count) {
  const auto n = count.to(torch::kFloat);
  const auto share = n / n.sum().clamp_min(1);
  return {.perplexity = -torch::xlogy(share, share).sum(), .used = count.gt(0).sum()};
}

}  // namespace

BatchUsage batch_usage(const Tensor& codes, int64_t size) {
  const torch::NoGradGuard no_grad;
  constexpr int64_t kCounted = 1 << 16;
  const auto flat = codes.flatten();
  BatchUsage usage;
  if (size > 0 && size <= kCounted) {
    auto count = torch::zeros({size + 1}, flat.options());
    // The last place is for those that don't count.
    count.scatter_add_(0, torch::where(flat.ge(0), flat, size), torch::ones_like(flat));
    usage = usage_of_counts(count.narrow(0, 0, size));
  } else {
    const auto sorted = std::get<0>(flat.sort());
    const auto times = occurrences(sorted).to(torch::kFloat);
    const auto counted = size > 0 ? sorted.ge(0) : torch::ones_like(sorted, torch::kBool);
    const auto total = counted.sum().clamp_min(1);
    const auto zero = torch::zeros({}, times.options());
    usage.perplexity = -(torch::where(counted, (times / total).log(), zero).sum() / total);
    usage.used = torch::where(counted, times.reciprocal(), zero).sum().round();
  }
  return {.perplexity = usage.perplexity.exp(), .used = usage.used.to(torch::kFloat)};
}

std::vector<BatchUsage> batch_usages(const Tensor& indices, const CodeSpace& space) {
  if (!space.bounded()) return {batch_usage(row_keys(indices), 0)};
  std::vector<BatchUsage> groups;
  for (int64_t g = 0; g < space.groups(); ++g) {
    groups.push_back(batch_usage(indices.select(-1, g), space.sizes[static_cast<size_t>(g)]));
  }
  return groups;
}

QuantizationError quantization_error(const Tensor& tokens, const Quantization& quantization, const CodeSpace& space) {
  const auto& value = quantization.value;
  const auto z = quantization.target.defined() ? quantization.target : tokens;
  if (!z.defined() || quantization.log_probs.defined() || z.sizes() != value.sizes()) return {};
  const torch::NoGradGuard no_grad;
  const auto type = z.is_cpu() ? torch::kDouble : torch::kFloat;
  auto error = (z - value).to(type).square().sum(-1), norm = z.to(type).square().sum(-1);
  if (quantization.indices.defined() && space.bounded()) {
    const auto counted = quantization.indices.ge(0).any(-1);
    error = error * counted;
    norm = norm * counted;
  }
  return {.squared = error.sum(), .norm = norm.sum()};
}

}  // namespace elbo
