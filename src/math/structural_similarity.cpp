#include "elbo/math/structural_similarity.h"

#include "elbo/base/error.h"

namespace elbo {
namespace {

constexpr double kSimilaritySigma = 1.5;
constexpr double kC1 = 0.01 * 0.01, kC2 = 0.03 * 0.03;

/// The window slid over H and W where it fits; it separates. Shapes: [B, 1, H, W] -> [B, 1, H - 10, W - 10].
Tensor windowed(const Tensor& pictures) {
  const auto place = torch::arange(kSimilarityWindow, pictures.options()) - (kSimilarityWindow - 1) / 2;
  auto weight = (-place.square() / (2 * kSimilaritySigma * kSimilaritySigma)).exp();
  weight = weight / weight.sum();
  return torch::conv2d(torch::conv2d(pictures, weight.view({1, 1, kSimilarityWindow, 1})),
                       weight.view({1, 1, 1, kSimilarityWindow}));
}

}  // namespace

Tensor structural_similarity(const Tensor& x, const Tensor& y) {
  check_shape(y, x.sizes(), "structural similarity: the second pictures");
  if (x.dim() != 4 || x.size(2) < kSimilarityWindow || x.size(3) < kSimilarityWindow) {
    throw ShapeError("structural similarity: got " + shape_text(x.sizes()) +
                     ", expected pictures [B, C, H, W] of at least 11 x 11 pixels");
  }
  const auto a = x.flatten(0, 1).unsqueeze(1), b = y.flatten(0, 1).unsqueeze(1);
  const auto mean_a = windowed(a), mean_b = windowed(b);
  const auto variance_a = windowed(a * a) - mean_a * mean_a;
  const auto variance_b = windowed(b * b) - mean_b * mean_b;
  const auto covariance = windowed(a * b) - mean_a * mean_b;
  const auto similarity = (2 * mean_a * mean_b + kC1) * (2 * covariance + kC2) /
                          ((mean_a * mean_a + mean_b * mean_b + kC1) * (variance_a + variance_b + kC2));
  return similarity.flatten(1).mean(1).view({x.size(0), x.size(1)}).mean(1);
}

}  // namespace elbo
