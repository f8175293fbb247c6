#include "elbo/evaluation/reconstruction_error.h"

#include "rows.h"

namespace elbo {
namespace {

class ReconstructionErrorMetric final : public Metric {
 public:
  void check(const EvaluationContext& context) const override { reconstructs(context); }

  std::vector<Measurement> evaluate(const EvaluationContext& context) const override {
    auto& model = reconstructs(context);
    detail::Column errors;
    detail::for_each_batch(context, "reconstruction_error", [&](const Batch& batch, int64_t) {
      const auto& original = batch.fields.at(model.reconstructed_field());
      const auto square = (model.reconstruct(batch) - original.value).to(at::kDouble).square().flatten(1);
      const auto& valid = original.valid;  // cells that are missing count for nothing
      errors.add(valid.defined() ? torch::where(valid.flatten(1), square, 0.0).sum(1) / valid.flatten(1).sum(1).clamp_min(1)
                                 : square.mean(1));
    });
    auto measured = measure("reconstruction_error", "", errors.whole());
    measured.note = "mean squared error of an element of " + model.reconstructed_field();
    return {measured};
  }

 private:
  static Reconstructs& reconstructs(const EvaluationContext& context) {
    return detail::as_ability<Reconstructs>(context, "reconstruction_error", "a model that reconstructs");
  }
};

}  // namespace

std::shared_ptr<Metric> make_reconstruction_error_metric(const NoConfig&) {
  return std::make_shared<ReconstructionErrorMetric>();
}

}  // namespace elbo
