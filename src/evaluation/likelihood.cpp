#include "elbo/evaluation/likelihood.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "rows.h"

namespace elbo {
namespace {

constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();

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
  Tensor log_sum() const { return largest_ + sum_.log(); }
  /// Kish's (sum w)^2 / sum w^2.
  Tensor effective_sample_size() const { return sum_.square() / square_sum_; }

 private:
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
Tensor over_strata(const Latents& latents, const Tensor& log_w) {
  if (log_w.dim() == 2) return log_w;
  Latents flat;
  const Shape one_sample = {log_w.size(0), 1, log_w.size(1) * log_w.size(2)};
  if (latents.log_weight.defined()) flat.log_weight = latents.log_weight.expand_as(log_w).reshape(one_sample);
  return log_mean_exp(flat, log_w.reshape(one_sample)).reshape({log_w.size(1), log_w.size(2)});
}

class LogLikelihoodMetric final : public Metric {
 public:
  void check(const EvaluationContext& context) const override { detail::as_variational(context, "log_likelihood"); }

  std::vector<Measurement> evaluate(const EvaluationContext& context) const override {
    const auto result = importance_log_likelihood(context);
    auto log_likelihood = measure("log_likelihood", "nats", result.per_example);
    log_likelihood.note = text("a lower bound in expectation, from ", count_of(context.samples, "importance sample"),
                               " an example: compare equal numbers only");
    return {log_likelihood, measure("effective_sample_size", "", result.effective_sample_size)};
  }
};

}  // namespace

LogLikelihood importance_log_likelihood(Variational& model, const Batch& batch, int64_t first_row, int64_t K, int64_t max_rows,
                                        PlacedNoise& noise, const std::function<void(int64_t)>& chunk_done) {
  if (K < 1) throw UsageError(text("log_likelihood needs at least one importance sample, got ", K));
  const torch::NoGradGuard no_grad;
  constexpr auto kGranule = GranuleNoise::kSamples;
  const auto chunk = std::max(kGranule, max_rows / batch.size() / kGranule * kGranule);
  WeightSums sums;
  for (int64_t first = 0; first < K; first += chunk) {
    const auto samples = std::min(chunk, K - first);
    noise.place(first_row, first);
    const auto latents = model.infer(batch, samples, noise);
    const auto log_p = log_likelihood(model.decode(latents, batch));
    const auto log_w = over_strata(latents, log_weights(latents, log_p)).to(at::kDouble);  // [samples, B]
    sums.add(log_w);
    if (chunk_done) chunk_done(samples);
  }
  return {.per_example = (sums.log_sum() - std::log(static_cast<double>(K))).cpu(),
          .effective_sample_size = sums.effective_sample_size().cpu()};
}

LogLikelihood importance_log_likelihood(const EvaluationContext& context) {
  auto& model = detail::as_variational(context, "log_likelihood");
  detail::ContextNoise noise(context);
  detail::Column log_likelihood, effective_sample_size;
  int64_t done = 0;
  const auto total = detail::num_rows(context) * context.samples;
  const auto batch_size = std::min(context.batch_size, std::max<int64_t>(1, context.max_rows / GranuleNoise::kSamples));
  detail::for_each_batch(context, batch_size, [&](const Batch& batch, int64_t first_row) {
    const auto report = [&](int64_t samples) {
      done += samples * batch.size();
      if (context.progress) {
        context.progress({.metric = "log_likelihood", .done = done, .total = total, .unit = "samples"});
      }
    };
    const auto result =
        importance_log_likelihood(model, batch, first_row, context.samples, context.max_rows, noise.get(), report);
    log_likelihood.add(result.per_example);
    effective_sample_size.add(result.effective_sample_size);
  });
  return {.per_example = log_likelihood.whole(), .effective_sample_size = effective_sample_size.whole()};
}

std::shared_ptr<Metric> make_log_likelihood_metric(const NoConfig&) { return std::make_shared<LogLikelihoodMetric>(); }

}  // namespace elbo
