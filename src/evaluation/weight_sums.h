#pragma once
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "elbo/evaluation/granule_noise.h"
#include "elbo/evaluation/likelihood.h"

namespace elbo::detail {

/// Sums of exp(log w) and exp(2 log w) of what was added so far, each as exp of the largest log w times the rest. Granules of 16
/// samples are summed one sample after the other and then combined in their order, all by element-wise operations: neither chunks
/// nor the rows of a batch can change a bit of a row's sums.
class WeightSums {
 public:
  /// Shapes: log_w [n, B] float64, the samples of whole granules but for the last.
  void add(const Tensor& log_w) {
    const auto num_granules = (log_w.size(0) + kGranule - 1) / kGranule;
    const auto missing = num_granules * kGranule - log_w.size(0);
    const auto granules =
        torch::constant_pad_nd(log_w, {0, 0, 0, missing}, kMinusInfinity).view({num_granules, kGranule, log_w.size(1)});
    const auto largest = granules.amax(1);
    const auto weights = (granules - finite(largest).unsqueeze(1)).exp();
    auto sum = weights.select(1, 0);
    auto square_sum = sum.square();
    for (int64_t k = 1; k < kGranule; ++k) {
      const auto weight = weights.select(1, k);
      sum = sum + weight;
      square_sum = square_sum + weight.square();
    }
    for (int64_t g = 0; g < num_granules; ++g) combine(largest[g], sum[g], square_sum[g]);
  }
  /// Of the K samples that were added.
  LogLikelihood result(int64_t K) const {
    return {.per_example = (largest_ + sum_.log() - std::log(static_cast<double>(K))).cpu(),
            .effective_sample_size = effective_sample_size().cpu()};
  }

 private:
  /// Kish's (sum w)^2 / sum w^2.
  Tensor effective_sample_size() const { return sum_.square() / square_sum_; }
  static constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();
  static constexpr auto kGranule = GranuleNoise::kSamples;
  /// 0 for -inf, of which no difference can be taken.
  static Tensor finite(const Tensor& largest) { return torch::where(largest == kMinusInfinity, 0.0, largest); }

  void combine(const Tensor& largest, const Tensor& sum, const Tensor& square_sum) {
    if (!largest_.defined()) {
      largest_ = largest;
      sum_ = sum;
      square_sum_ = square_sum;
      return;
    }
    const auto common = torch::maximum(largest_, largest);
    const auto before = (largest_ - finite(common)).exp(), now = (largest - finite(common)).exp();
    sum_ = sum_ * before + sum * now;
    square_sum_ = square_sum_ * before.square() + square_sum * now.square();
    largest_ = common;
  }

  Tensor largest_ = {};
  Tensor sum_ = {};
  Tensor square_sum_ = {};
};

/// The strata of a mixture posterior combined, sample by sample. Shapes: [K, B] or [S, K, B] -> [K, B].
Tensor over_strata(const Latents& latents, const Tensor& log_w);

/// What an estimate from K samples is worth.
std::string note_of_samples(int64_t K);

/// K samples an example in chunks of at most max_rows / B, whole granules and at least one: `visit` is told how many samples to
/// draw, the noise is in its place.
void for_each_chunk(const Batch& batch, int64_t first_row, int64_t K, int64_t max_rows, PlacedNoise& noise,
                    const std::function<void(int64_t samples)>& visit);

}  // namespace elbo::detail
