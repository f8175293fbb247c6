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

/// log sum exp of what was added so far, from granules of 16 samples in their order: chunking can't change a bit of it.
class RunningLogSum {
 public:
  /// Shapes: log_w [n, B].
  void add(const Tensor& log_w) {
    const auto part = torch::logsumexp(log_w, 0);
    if (!total_.defined()) {
      total_ = part;
      return;
    }
    const auto high = torch::maximum(total_, part);
    const auto low = torch::minimum(total_, part);
    total_ = torch::where(low == kMinusInfinity, high, high + (low - high).exp().log1p());
  }
  const Tensor& total() const { return total_; }

 private:
  Tensor total_ = {};
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
  RunningLogSum sum, sum_of_squares;
  for (int64_t first = 0; first < K; first += chunk) {
    const auto samples = std::min(chunk, K - first);
    noise.place(first_row, first);
    const auto latents = model.infer(batch, samples, noise);
    const auto log_p = log_likelihood(model.decode(latents, batch));
    const auto log_w = over_strata(latents, log_weights(latents, log_p)).to(at::kDouble);  // [samples, B]
    for (const auto& granule : log_w.split(kGranule)) {
      sum.add(granule);
      sum_of_squares.add(2 * granule);
    }
    if (chunk_done) chunk_done(samples);
  }
  return {.per_example = (sum.total() - std::log(static_cast<double>(K))).cpu(),
          .effective_sample_size = (2 * sum.total() - sum_of_squares.total()).exp().cpu()};
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
