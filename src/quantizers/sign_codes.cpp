#include "sign_codes.h"

#include <algorithm>

#include "elbo/math/precision.h"
#include "elbo/quantizers/tokens.h"

namespace elbo::detail {
namespace {

constexpr int64_t kMostIndexBits = 62;
constexpr int64_t kMostTableBits = 16;
constexpr double kLeastProbability = 1e-30;  // its logarithm is finite in float32

Tensor bit_places(int64_t bits, at::Device device) {
  return torch::arange(bits - 1, -1, -1, torch::TensorOptions(torch::kLong).device(device));
}

/// Probabilities of all values of independent bits, first bit highest. Shapes: logits [N, b] -> [N, 2^b].
Tensor joint_probabilities(const Tensor& logits) {
  auto joint = torch::ones({logits.size(0), 1}, logits.options());
  for (int64_t i = 0; i < logits.size(1); ++i) {
    const auto x = logits.select(1, i);
    const auto both = torch::stack({(-x).sigmoid(), x.sigmoid()}, 1);
    joint = (joint.unsqueeze(2) * both.unsqueeze(1)).flatten(1);
  }
  return joint;
}

/// The average over rows of 2^(a + b) probabilities as one product of [2^a, N] and [N, 2^b]: nothing of N x 2^(a + b).
Tensor entropy_of_block(const Tensor& logits, const Tensor& weight) {
  const auto first = logits.size(1) / 2;
  auto left = joint_probabilities(logits.narrow(1, 0, first));
  const auto right = joint_probabilities(logits.narrow(1, first, logits.size(1) - first));
  if (weight.defined()) {
    left = left * (weight / weight.sum().clamp_min(1)).unsqueeze(1);
  } else {
    left = left / static_cast<double>(logits.size(0));
  }
  const auto average = torch::matmul(left.t(), right);
  return -(average * average.clamp_min(kLeastProbability).log()).sum();
}

bool is_always_zero(const ScheduledNumber& number) {
  const auto* constant = number.config_as<ConstantScheduleConfig>();
  return constant != nullptr && constant->value == 0;
}

}  // namespace

Tensor SignCodes::indices(const Tensor& z) const {
  const auto bit = z.detach().gt(0).to(torch::kLong).unflatten(-1, std::vector<int64_t>{groups, bits()});
  return bit.bitwise_left_shift(bit_places(bits(), z.device())).sum(-1);
}

Tensor SignCodes::nearest(const Tensor& z) const {
  return torch::where(z.detach().gt(0), torch::full({}, scale, z.options()), torch::full({}, -scale, z.options()));
}

Tensor SignCodes::decode(const Tensor& given) const {
  const auto index = given.unsqueeze(-1);
  const auto bit = index.bitwise_right_shift(bit_places(bits(), given.device())).bitwise_and(1).gt(0);
  const auto options = torch::TensorOptions(torch::kFloat).device(given.device());
  const auto code = torch::where(bit, torch::full({}, scale, options), torch::full({}, -scale, options));
  return code.masked_fill(index.lt(0), 0).flatten(-2);
}

CodeSpace SignCodes::space() const {
  return {
      .input_size = size, .output_size = size, .sizes = std::vector<int64_t>(static_cast<size_t>(groups), int64_t{1} << bits())};
}

Tensor SignCodes::codebook(at::Device device) const {
  if (bits() > kMostTableBits) return {};
  const auto options = torch::TensorOptions(torch::kLong).device(device);
  return SignCodes{bits(), 1, scale}.decode(torch::arange(int64_t{1} << bits(), options).unsqueeze(1));
}

std::string sign_codes_problem(int64_t size, int64_t groups) {
  const auto bits = std::to_string(size);
  if (size % groups != 0) return bits + " bits can't be divided among " + std::to_string(groups) + " groups";
  if (size / groups <= kMostIndexBits) return "";
  return bits + " bits in " + std::to_string(groups) + (groups == 1 ? " group" : " groups") +
         " don't fit indices of 62 bits: give at least " + std::to_string((size + kMostIndexBits - 1) / kMostIndexBits) +
         " groups";
}

Tensor bits_entropy(const Tensor& logits) {
  const auto x = logits.abs();
  return (torch::softplus(-x) + x * (-x).sigmoid()).sum(-1);
}

Tensor entropy_of_average(const Tensor& logits, const Tensor& weight, int64_t block) {
  const FullPrecisionScope precise(logits.device());
  auto total = torch::zeros({}, logits.options());
  for (int64_t first = 0; first < logits.size(1); first += block) {
    total = total + entropy_of_block(logits.narrow(1, first, std::min(block, logits.size(1) - first)), weight);
  }
  return total;
}

SignEntropy::SignEntropy(const SignEntropyConfig& config, EntropyScale scale, at::Device device)
    : temperature_("temperature", config.temperature, device),
      entropy_("entropy", config.entropy, device),
      diversity_("diversity", config.diversity, device),
      entropy_bits_(config.entropy_bits),
      scale_(scale),
      diverse_(!is_always_zero(config.diversity)) {}

void SignEntropy::add_terms(Quantization& result, const Tensor& z, const Tensor& mask) const {
  const auto logits = z * (4 / temperature_.tensor());
  const auto tokens = elements_of(z) / static_cast<double>(z.size(-1));
  const auto weight = scale_ == EntropyScale::temperature ? entropy_.tensor() * temperature_.tensor() : entropy_.tensor();
  result.terms.push_back(
      {.name = "token_entropy", .value = sum_tokens(bits_entropy(logits), mask), .weight = weight, .elements = tokens});
  if (!diverse_) return;
  const auto counts = mask.defined() ? mask.reshape({-1}).to(logits.scalar_type()) : Tensor();
  auto value = entropy_of_average(to_rows(logits), counts, entropy_bits_);
  value = value * (mask.defined() ? counts.sum() / z.size(0) : torch::full({}, tokens, value.options()));
  result.terms.push_back(
      {.name = "batch_entropy", .value = value, .weight = -(weight * diversity_.tensor()), .elements = tokens});
}

}  // namespace elbo::detail
