#include "elbo/math/structural_similarity.h"

#include <torch/autograd.h>

#include <algorithm>
#include <numeric>

#include "elbo/base/error.h"
#include "elbo/math/precision.h"

namespace elbo {
namespace {

constexpr double kSimilaritySigma = 1.5;
constexpr double kC1 = 0.01 * 0.01, kC2 = 0.03 * 0.03;

Tensor window(const at::TensorOptions& options) {
  const auto place = torch::arange(kSimilarityWindow, options.requires_grad(false)) - (kSimilarityWindow - 1) / 2;
  const auto weight = (-place.square() / (2 * kSimilaritySigma * kSimilaritySigma)).exp();
  return weight / weight.sum();
}
Tensor of_rows(const Tensor& window) { return window.view({1, 1, kSimilarityWindow, 1}); }
Tensor of_columns(const Tensor& window) { return window.view({1, 1, 1, kSimilarityWindow}); }

/// The window slid over H and W where it fits; it separates. Both ways in full precision: variances are differences.
struct Windowed final : torch::autograd::Function<Windowed> {
  static Tensor forward(torch::autograd::AutogradContext* /*context*/, const Tensor& pictures) {
    const FullPrecisionScope precise(pictures.device());
    const auto weight = window(pictures.options());
    return torch::conv2d(torch::conv2d(pictures, of_rows(weight)), of_columns(weight));
  }
  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* /*context*/,
                                               const torch::autograd::tensor_list& gradients) {
    const auto& gradient = gradients[0];
    const FullPrecisionScope precise(gradient.device());
    const auto weight = window(gradient.options());  // its own mirror image; on the CPU several times faster than transposed
    constexpr int64_t kAround = kSimilarityWindow - 1;
    const auto along_rows = torch::conv2d(gradient, of_columns(weight), {}, 1, at::IntArrayRef({0, kAround}));
    return {torch::conv2d(along_rows, of_rows(weight), {}, 1, at::IntArrayRef({kAround, 0}))};
  }
};

/// Shapes: [B, 1, H, W] -> [B, 1, H - 10, W - 10].
Tensor windowed(const Tensor& pictures) { return Windowed::apply(pictures); }

/// Means over places, [B C].
struct Similarity {
  Tensor whole = {};
  Tensor structure = {};  // without the luminances
};

/// Shapes: [B C, 1, H, W].
Similarity similarity_of(const Tensor& a, const Tensor& b) {
  const auto mean_a = windowed(a), mean_b = windowed(b);
  const auto variance_a = windowed(a * a) - mean_a * mean_a;
  const auto variance_b = windowed(b * b) - mean_b * mean_b;
  const auto covariance = windowed(a * b) - mean_a * mean_b;
  const auto structure = (2 * covariance + kC2) / (variance_a + variance_b + kC2);
  const auto luminance = (2 * mean_a * mean_b + kC1) / (mean_a * mean_a + mean_b * mean_b + kC1);
  return {.whole = (luminance * structure).flatten(1).mean(1), .structure = structure.flatten(1).mean(1)};
}

void check_pictures(const Tensor& x, const Tensor& y, int64_t scales) {
  check_shape(y, x.sizes(), "structural similarity: the second pictures");
  if (x.dim() == 4 && similarity_scales(x.size(2), x.size(3)) >= scales) return;
  // The side of the smallest picture of which `scales` halvings, rounded up, leave the window.
  const auto least = (kSimilarityWindow - 1) * (int64_t{1} << (scales - 1)) + 1;
  throw ShapeError("structural similarity: got " + shape_text(x.sizes()) + ", expected pictures [B, C, H, W] of at least " +
                   std::to_string(least) + " x " + std::to_string(least) + " pixels");
}

Tensor one_channel(const Tensor& x) { return x.flatten(0, 1).unsqueeze(1); }

Tensor mean_of_channels(const Tensor& values, const Tensor& x) { return values.view({x.size(0), x.size(1)}).mean(1); }

/// Half the size, rounded up. Shapes: [N, 1, h, w].
Tensor halved(const Tensor& x) { return torch::avg_pool2d(x, {2, 2}, {2, 2}, {x.size(2) % 2, x.size(3) % 2}); }

/// base^exponent of what is positive, else 0: relu hands no gradient on there, whatever the power's is.
Tensor positive_power(const Tensor& base, double exponent) { return torch::relu(base).pow(exponent); }

}  // namespace

Tensor structural_similarity(const Tensor& x, const Tensor& y) {
  check_pictures(x, y, 1);
  return mean_of_channels(similarity_of(one_channel(x), one_channel(y)).whole, x);
}

int64_t similarity_scales(int64_t height, int64_t width) {
  int64_t scales = 0;
  for (auto side = std::min(height, width); side >= kSimilarityWindow; side = (side + 1) / 2) ++scales;
  return std::min(scales, static_cast<int64_t>(kSimilarityScales.size()));
}

Tensor multiscale_similarity(const Tensor& x, const Tensor& y, int64_t scales) {
  check_pictures(x, y, scales);
  auto a = one_channel(x), b = one_channel(y);
  // The published five add up to 1.0001 and are taken as they are.
  const bool all = scales == static_cast<int64_t>(kSimilarityScales.size());
  const double sum = all ? 1 : std::accumulate(kSimilarityScales.begin(), kSimilarityScales.begin() + scales, 0.0);
  Tensor product;
  for (int64_t i = 0; i < scales; ++i) {
    const bool last = i + 1 == scales;
    const auto similarity = similarity_of(a, b);
    const auto factor =
        positive_power(last ? similarity.whole : similarity.structure, kSimilarityScales[static_cast<size_t>(i)] / sum);
    product = product.defined() ? product * factor : factor;
    if (!last) a = halved(a), b = halved(b);
  }
  return mean_of_channels(product, x);
}

Tensor similarity_decibels(const Tensor& similarity) {
  constexpr double kLeast = 1e-10;
  return (1 - similarity).clamp_min(kLeast).log10() * -10;
}

}  // namespace elbo
