#include "elbo/evaluation/objective_bound.h"

#include <algorithm>

#include "elbo/base/error.h"
#include "rows.h"

namespace elbo {
namespace {

class BoundMetric final : public Metric {
 public:
  void check(const EvaluationContext& context) const override {
    if (!context.objective) throw UsageError("metric 'bound' needs the run's objective; a model alone has metric 'elbo'");
  }

  std::vector<Measurement> evaluate(const EvaluationContext& context) const override {
    check(context);
    detail::ContextNoise noise(context);
    Streams streams(context.seed, context.device);
    Collective alone;
    detail::Column bounds;
    bool couples_batch = false;
    detail::for_each_batch(context, "bound", [&](const Batch& batch, int64_t first_row) {
      noise.get().place(first_row, 0);
      streams.rekey(first_row);
      Step step{.index_tensor = torch::zeros({}, torch::dtype(at::kLong).device(context.device)),
                .training = false,
                .noise = noise.get(),
                .streams = streams,
                .collective = alone};
      const auto terms = context.objective->losses(batch, step).terms;
      const auto bound = std::find_if(terms.begin(), terms.end(), [](const Term& term) { return term.name == "bound"; });
      if (bound == terms.end()) throw UsageError("metric 'bound': the objective reports no term 'bound'");
      couples_batch = couples_batch || bound->value.dim() == 0;
      bounds.add(bound->value.expand({batch.size()}));
    });
    auto measured = measure("bound", "nats", bounds.whole());
    if (couples_batch) {
      measured.standard_error = std::nullopt;
      measured.per_example = Tensor();
      measured.note = "couples the examples of a batch: it depends on the batch size, " + std::to_string(context.batch_size);
    }
    return {measured};
  }
};

}  // namespace

std::shared_ptr<Metric> make_bound_metric(const NoConfig&) { return std::make_shared<BoundMetric>(); }

}  // namespace elbo
