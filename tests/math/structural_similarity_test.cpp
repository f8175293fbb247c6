#include "elbo/math/structural_similarity.h"

#include "elbo/base/error.h"
#include "golden/ms_ssim.h"
#include "support/gradients.h"

namespace elbo::structural_similarity_test {

/// Coarse and fine waves, as scripts/make_golden_ms_ssim.py has them.
Tensor waves(at::IntArrayRef shape, double phase) {
  const auto j = torch::arange(c10::multiply_integers(shape), torch::kDouble);
  return ((2 + (1.7 * j + phase).sin() + (0.05 * j + 3 * phase).sin()) / 4).view(shape);
}

TEST(MultiscaleSimilarity, AgreesWithAnIndependentImplementation) {
  for (const auto& expected : golden::kMultiScaleSimilarities) {
    const auto a = waves(joined({1}, expected.shape), 0.3), b = waves(a.sizes(), 1.9);
    const auto copy = (1 - expected.share) * a + expected.share * b;
    expect_close(multiscale_similarity(a, copy, expected.scales), expected.ms_ssim, 1e-5);  // its window is float32
  }
}

TEST(MultiscaleSimilarity, OfOneScaleIsStructuralSimilarity) {
  const auto a = waves({2, 3, 12, 15}, 0.3), b = 0.6 * a + 0.4 * waves(a.sizes(), 1.9);
  const auto similarity = multiscale_similarity(a, b, 1);
  EXPECT_EQ(similarity.sizes(), Shape({2}));
  expect_close(similarity, structural_similarity(a, b), 1e-12);
}

TEST(MultiscaleSimilarity, HasTheGradientOfItsFiniteDifference) {
  const auto a = waves({1, 1, 22, 21}, 0.3), b = 0.6 * a + 0.4 * waves(a.sizes(), 1.9);
  expect_gradient_matches([](const std::vector<Tensor>& in) { return multiscale_similarity(in[0], in[1], 2); }, {a, b},
                          {.step = 1e-6, .rtol = 1e-5, .atol = 1e-8});
}

// A picture against its negative: contrast and structure are reversed, so that a factor is below 0.
TEST(MultiscaleSimilarity, ReversedStructureIsZeroWithoutAnInfiniteGradient) {
  const auto a = waves({1, 1, 22, 22}, 0.3);
  auto negative = (1 - a).requires_grad_();
  const auto similarity = multiscale_similarity(a, negative, 2);
  expect_equal(similarity.detach(), torch::zeros({1}, torch::kDouble));
  similarity.sum().backward();
  expect_equal(negative.grad(), torch::zeros_like(a));
}

TEST(MultiscaleSimilarity, TakesAsManyScalesAsFit) {
  EXPECT_EQ(similarity_scales(10, 500), 0);
  EXPECT_EQ(similarity_scales(11, 500), 1);
  EXPECT_EQ(similarity_scales(28, 28), 2);
  EXPECT_EQ(similarity_scales(160, 200), 4);
  EXPECT_EQ(similarity_scales(161, 200), 5);
  EXPECT_EQ(similarity_scales(5000, 5000), 5);
  const auto x = torch::zeros({1, 1, 160, 200});
  try {
    multiscale_similarity(x, x);
    FAIL() << "160 pixels are too few";
  } catch (const ShapeError& error) {
    EXPECT_STREQ(error.what(),
                 "structural similarity: got [1, 1, 160, 200], expected pictures [B, C, H, W] of at least 161 x 161 pixels");
  }
}

TEST(MultiscaleSimilarity, InDecibels) {
  expect_close(similarity_decibels(values({0, 0.9, 0.999, 1})), values({0, 10, 30, 100}), 1e-9);
}

}  // namespace elbo::structural_similarity_test
