#include "elbo/evaluation/psnr.h"

#include "rows.h"

namespace elbo {
namespace {

constexpr double kSmallestError = 1e-10;

class PsnrMetric final : public Metric {
 public:
  void check(const EvaluationContext& context) const override {
    reconstructs(context);
    detail::check_unit_data(context, "psnr", reconstructs(context).reconstructed_field());
  }

  std::vector<Measurement> evaluate(const EvaluationContext& context) const override {
    auto& model = reconstructs(context);
    detail::Column values;
    detail::for_each_batch(context, "psnr", [&](const Batch& batch, int64_t) {
      values.add(psnr(batch.at(model.reconstructed_field()), model.reconstruct(batch)));
    });
    auto measured = measure("psnr", "db", values.whole());
    measured.note = "mean over examples of each one's own ratio, values in [0, 1]; at most 100";
    return {measured};
  }

 private:
  static Reconstructs& reconstructs(const EvaluationContext& context) {
    return detail::as_ability<Reconstructs>(context, "psnr", "a model that reconstructs");
  }
};

}  // namespace

Tensor psnr(const Tensor& originals, const Tensor& reconstructions) {
  check_shape(reconstructions, originals.sizes(), "reconstructions");
  const auto error = reconstructions.to(at::kDouble).clamp(0, 1) - originals.to(at::kDouble);
  return -10 * error.square().flatten(1).mean(1).clamp_min(kSmallestError).log10();
}

std::shared_ptr<Metric> make_psnr_metric(const NoConfig&) { return std::make_shared<PsnrMetric>(); }

}  // namespace elbo
