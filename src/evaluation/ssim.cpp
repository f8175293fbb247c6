#include "elbo/evaluation/ssim.h"

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "rows.h"

namespace elbo {
namespace {

constexpr int64_t kWindow = 11;
constexpr double kSigma = 1.5;
constexpr double kC1 = 0.01 * 0.01, kC2 = 0.03 * 0.03;

/// The window slid over H and W where it fits; it separates. Shapes: [B, 1, H, W] -> [B, 1, H - 10, W - 10].
Tensor windowed(const Tensor& pictures) {
  const auto place = torch::arange(kWindow, pictures.options()) - (kWindow - 1) / 2;
  auto weight = (-place.square() / (2 * kSigma * kSigma)).exp();
  weight = weight / weight.sum();
  return torch::conv2d(torch::conv2d(pictures, weight.view({1, 1, kWindow, 1})), weight.view({1, 1, 1, kWindow}));
}

class SsimMetric final : public Metric {
 public:
  void check(const EvaluationContext& context) const override {
    const auto field = reconstructs(context).reconstructed_field();
    detail::check_unit_data(context, "ssim", field);
    if (!context.dataset || !context.dataset->spec().contains(field)) return;
    const auto& shape = context.dataset->spec().at(field).shape;
    if (shape.size() != 3 || shape[1] < kWindow || shape[2] < kWindow) {
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
  if (originals.dim() != 4 || originals.size(2) < kWindow || originals.size(3) < kWindow) {
    throw UsageError(text("ssim needs pictures [B, C, H, W] of at least 11 x 11 pixels, got ", shape_text(originals.sizes())));
  }
  const auto x = originals.to(at::kDouble).flatten(0, 1).unsqueeze(1);
  const auto y = reconstructions.to(at::kDouble).clamp(0, 1).flatten(0, 1).unsqueeze(1);
  const auto mean_x = windowed(x), mean_y = windowed(y);
  const auto variance_x = windowed(x * x) - mean_x * mean_x;
  const auto variance_y = windowed(y * y) - mean_y * mean_y;
  const auto covariance = windowed(x * y) - mean_x * mean_y;
  const auto similarity = (2 * mean_x * mean_y + kC1) * (2 * covariance + kC2) /
                          ((mean_x * mean_x + mean_y * mean_y + kC1) * (variance_x + variance_y + kC2));
  return similarity.flatten(1).mean(1).view({originals.size(0), originals.size(1)}).mean(1);
}

std::shared_ptr<Metric> make_ssim_metric(const NoConfig&) { return std::make_shared<SsimMetric>(); }

}  // namespace elbo
