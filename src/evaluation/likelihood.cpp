#include "elbo/evaluation/likelihood.h"

#include <algorithm>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/evaluation/subset_likelihood.h"
#include "rows.h"
#include "weight_sums.h"

namespace elbo {
namespace {

class LogLikelihoodMetric final : public Metric {
 public:
  void check(const EvaluationContext& context) const override {
    detail::as_variational(context, "log_likelihood");
    if (detail::multimodal(context)) check_subset_likelihoods(context);
  }

  std::vector<Measurement> evaluate(const EvaluationContext& context) const override {
    if (detail::multimodal(context)) return subset_likelihoods(context);
    const auto result = importance_log_likelihood(context);
    auto log_likelihood = measure("log_likelihood", "nats", result.per_example);
    log_likelihood.note = detail::note_of_samples(context.samples);
    return {log_likelihood, measure("effective_sample_size", "", result.effective_sample_size)};
  }
};

}  // namespace

namespace detail {

std::string note_of_samples(int64_t K) {
  return text("a lower bound in expectation, from ", count_of(K, "importance sample"), " an example: compare equal numbers only");
}

Tensor over_strata(const Latents& latents, const Tensor& log_w) {
  if (log_w.dim() == 2) return log_w;
  Latents flat;
  const Shape one_sample = {log_w.size(0), 1, log_w.size(1) * log_w.size(2)};
  if (latents.log_weight.defined()) flat.log_weight = latents.log_weight.expand_as(log_w).reshape(one_sample);
  return log_mean_exp(flat, log_w.reshape(one_sample)).reshape({log_w.size(1), log_w.size(2)});
}

void for_each_chunk(const Batch& batch, int64_t first_row, int64_t K, int64_t max_rows, PlacedNoise& noise,
                    const std::function<void(int64_t)>& visit) {
  if (K < 1) throw UsageError(text("log_likelihood needs at least one importance sample, got ", K));
  constexpr auto kGranule = GranuleNoise::kSamples;
  const auto chunk = std::max(kGranule, max_rows / batch.size() / kGranule * kGranule);
  for (int64_t first = 0; first < K; first += chunk) {
    noise.place(first_row, first);
    visit(std::min(chunk, K - first));
  }
}

}  // namespace detail

LogLikelihood importance_log_likelihood(Variational& model, const Batch& batch, int64_t first_row, int64_t K, int64_t max_rows,
                                        PlacedNoise& noise, const std::function<void(int64_t)>& chunk_done) {
  const torch::NoGradGuard no_grad;
  detail::WeightSums sums;
  detail::for_each_chunk(batch, first_row, K, max_rows, noise, [&](int64_t samples) {
    const auto latents = model.infer(batch, samples, noise);
    const auto log_p = log_likelihood(model.decode(latents, batch));
    sums.add(detail::over_strata(latents, log_weights(latents, log_p)).to(at::kDouble));  // [samples, B]
    if (chunk_done) chunk_done(samples);
  });
  return sums.result(K);
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
