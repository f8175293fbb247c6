#include "elbo/evaluation/ssim.h"

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/math/structural_similarity.h"
#include "rows.h"

namespace elbo {
namespace {

class SsimMetric final : public Metric {
 public:
  void check(const EvaluationContext& context) const override {
    const auto field = reconstructs(context).reconstructed_field();
    detail::check_unit_data(context, "ssim", field);
    if (!context.dataset || !context.dataset->spec().contains(field)) return;
    const auto& shape = context.dataset->spec().at(field).shape;
    if (shape.size() != 3 || shape[1] < kSimilarityWindow || shape[2] < kSimilarityWindow) {
      throw UsageError(text("metric 'ssim' needs pictures of at least 11 x 11 pixels; ", field, " is ", shape_text(shape)));
    }
  }

  std::vector<Measurement> evaluate(const EvaluationContext& context) const override {
    auto& model = reconstructs(context);
    detail::Column values;
    detail::for_each_batch(context, "ssim", [&](const Batch& batch, int64_t) {
      values.add(ssim(batch.at(model.reconstructed_field()), model.reconstruct(batch)));
    });
    auto measured = measure("ssim", "", values.whole());
    measured.note = "Gaussian window 11 x 11, sigma 1.5, values in [0, 1]";
    return {measured};
  }

 private:
  static Reconstructs& reconstructs(const EvaluationContext& context) {
    return detail::as_ability<Reconstructs>(context, "ssim", "a model that reconstructs");
  }
};

}  // namespace

Tensor ssim(const Tensor& originals, const Tensor& reconstructions) {
  check_shape(reconstructions, originals.sizes(), "reconstructions");
  if (originals.dim() != 4 || originals.size(2) < kSimilarityWindow || originals.size(3) < kSimilarityWindow) {
    throw UsageError(text("ssim needs pictures [B, C, H, W] of at least 11 x 11 pixels, got ", shape_text(originals.sizes())));
  }
  return structural_similarity(originals.to(at::kDouble), reconstructions.to(at::kDouble).clamp(0, 1));
}

std::shared_ptr<Metric> make_ssim_metric(const NoConfig&) { return std::make_shared<SsimMetric>(); }

}  // namespace elbo
