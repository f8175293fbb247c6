#include "elbo/evaluation/ssim.h"

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/math/structural_similarity.h"
#include "rows.h"

namespace elbo {
namespace {

/// The originals and reconstructions of a model, checked to be pictures.
class SimilarityMetric : public Metric {
 public:
  explicit SimilarityMetric(std::string name) : name_(std::move(name)) {}

  void check(const EvaluationContext& context) const final {
    const auto field = reconstructs(context).reconstructed_field();
    detail::check_unit_data(context, name_, field);
    if (!context.dataset || !context.dataset->spec().contains(field)) return;
    const auto& shape = context.dataset->spec().at(field).shape;
    if (shape.size() != 3 || shape[1] < kSimilarityWindow || shape[2] < kSimilarityWindow) {
      throw UsageError(
          text("metric '", name_, "' needs pictures of at least 11 x 11 pixels; ", field, " is ", shape_text(shape)));
    }
  }

 protected:
  /// `similarity` of each batch's originals and reconstructions.
  template <class Similarity>
  Tensor over_split(const EvaluationContext& context, const Similarity& similarity) const {
    auto& model = reconstructs(context);
    detail::Column values;
    detail::for_each_batch(context, name_, [&](const Batch& batch, int64_t) {
      values.add(similarity(batch.at(model.reconstructed_field()), model.reconstruct(batch)));
    });
    return values.whole();
  }

 private:
  Reconstructs& reconstructs(const EvaluationContext& context) const {
    return detail::as_ability<Reconstructs>(context, name_, "a model that reconstructs");
  }

  std::string name_;
};

class SsimMetric final : public SimilarityMetric {
 public:
  SsimMetric() : SimilarityMetric("ssim") {}

  std::vector<Measurement> evaluate(const EvaluationContext& context) const override {
    auto measured = measure("ssim", "", over_split(context, ssim));
    measured.note = "Gaussian window 11 x 11, sigma 1.5, values in [0, 1]";
    return {measured};
  }
};

class MsSsimMetric final : public SimilarityMetric {
 public:
  MsSsimMetric() : SimilarityMetric("ms_ssim") {}

  std::vector<Measurement> evaluate(const EvaluationContext& context) const override {
    int64_t scales = 0;
    const auto values = over_split(context, [&](const Tensor& originals, const Tensor& reconstructions) {
      scales = similarity_scales(originals.size(2), originals.size(3));
      return ms_ssim(originals, reconstructions, scales);
    });
    auto similarity = measure("ms_ssim", "", values), decibels = measure("ms_ssim", "db", similarity_decibels(values));
    similarity.note =
        scales == static_cast<int64_t>(kSimilarityScales.size())
            ? "5 scales, values in [0, 1]"
            : text("of ", scales, scales == 1 ? " scale" : " scales", ", for that many fit; published numbers have 5");
    decibels.note = "mean over examples of -10 log10(1 - ms_ssim), at most 100";
    return {similarity, decibels};
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

Tensor ms_ssim(const Tensor& originals, const Tensor& reconstructions, int64_t scales) {
  check_shape(reconstructions, originals.sizes(), "reconstructions");
  if (originals.dim() != 4 || scales < 1 || similarity_scales(originals.size(2), originals.size(3)) < scales) {
    throw UsageError(
        text("ms_ssim of ", scales, " scales needs larger pictures [B, C, H, W], got ", shape_text(originals.sizes())));
  }
  return multiscale_similarity(originals.to(at::kDouble), reconstructions.to(at::kDouble).clamp(0, 1), scales);
}

std::shared_ptr<Metric> make_ssim_metric(const NoConfig&) { return std::make_shared<SsimMetric>(); }

std::shared_ptr<Metric> make_ms_ssim_metric(const NoConfig&) { return std::make_shared<MsSsimMetric>(); }

}  // namespace elbo
