#include "elbo/evaluation/psnr.h"
#include "elbo/evaluation/ssim.h"
#include "fakes.h"
#include "golden/ssim.h"
#include "support/tensors.h"

using namespace elbo;

namespace image_quality_test {

struct Pair {
  Tensor original = {};
  Tensor copy = {};
};

Pair pair_of(const golden::Similarity& expected) {
  const Shape shape = joined({1}, expected.shape);
  const auto a = (1 + wavy(shape, 0.3)) / 2, b = (1 + wavy(shape, 1.9)) / 2;
  return {a, (1 - expected.share) * a + expected.share * b};
}

TEST(Ssim, AgreesWithAnIndependentImplementation) {
  for (const auto& expected : golden::kSimilarities) {
    const auto [original, copy] = pair_of(expected);
    expect_close(ssim(original, copy), expected.ssim, 1e-9, 1e-10);
    expect_close(psnr(original, copy), expected.psnr, 1e-10);
  }
}

TEST(Ssim, IsOneForACopyAndOneValueAnExample) {
  const auto x = (1 + wavy({3, 2, 12, 15})) / 2;
  expect_close(ssim(x, x), 1, 1e-12);
  const auto mixed = torch::cat({x.narrow(0, 0, 1), 1 - x.narrow(0, 1, 2)});
  const auto value = ssim(x, mixed);
  EXPECT_EQ(value.sizes(), at::IntArrayRef({3}));
  EXPECT_NEAR(value[0].item<double>(), 1, 1e-12);
  EXPECT_LT(value[1].item<double>(), 0);  // the negative: its structure is reversed
}

TEST(Ssim, OfConstantPicturesIsLuminanceAlone) {
  const auto a = torch::full({1, 1, 11, 11}, 0.25, torch::kDouble), b = torch::full({1, 1, 11, 11}, 0.75, torch::kDouble);
  expect_close(ssim(a, b), (2 * 0.25 * 0.75 + 1e-4) / (0.0625 + 0.5625 + 1e-4), 1e-9);
}

TEST(Ssim, RefusesPicturesSmallerThanItsWindow) {
  EXPECT_EQ(fakes::message_of([] {
              ssim(torch::zeros({1, 1, 8, 8}), torch::zeros({1, 1, 8, 8}));
            }),
            "ssim needs pictures [B, C, H, W] of at least 11 x 11 pixels, got [1, 1, 8, 8]");
}

TEST(Psnr, IsTheErrorInDecibels) {
  const auto x = torch::zeros({2, 1, 2, 2}, torch::kDouble);
  auto y = x.clone();
  y[0].fill_(0.1);       // mean squared error 0.01
  y[1][0][0][0] = -0.5;  // clamped to 0: an exact copy
  expect_close(psnr(x, y), values({20, 100}), 1e-12);
}

/// A unit-valued field x of one shape.
class Pictures final : public Dataset {
 public:
  Pictures(Shape shape, ValueKind kind) : spec_{{"x", {.shape = std::move(shape), .kind = kind}}} {}
  const DataSpec& spec() const override { return spec_; }
  int64_t size(Split) const override { return 3; }
  int64_t batch_size() const override { return 2; }
  void load(at::Device) override {}
  Batch gather(Split, const Tensor& index, Stream&) const override {
    return {.fields = {{"x", {.value = torch::zeros(joined({index.size(0)}, spec_.at("x").shape), torch::kDouble)}}},
            .index = index};
  }
  std::string fingerprint() const override { return ""; }
  Tensor training_mean() const override { return {}; }

 private:
  DataSpec spec_;
};

/// Row i comes back as 0.1 (i + 1) everywhere.
class Greyer final : public Model, public Reconstructs {
 public:
  std::string_view family() const override { return "quantized"; }
  std::string summary() const override { return "greyer"; }
  Tensor reconstruct(const Batch& batch) override {
    const auto& x = batch.at("x");
    Shape ones(static_cast<size_t>(x.dim()), 1);
    ones[0] = x.size(0);
    return x + 0.1 * (batch.index + 1).to(at::kDouble).view(ones);
  }
};

EvaluationContext context_of(Model& model, Shape shape, ValueKind kind = ValueKind::unit) {
  return {.model = model, .dataset = std::make_shared<Pictures>(std::move(shape), kind), .batch_size = 2};
}

TEST(Psnr, MetricAveragesTheRatiosOfExamples) {
  Greyer model;
  const auto measured = metrics().make("psnr")->evaluate(context_of(model, {1, 2, 2}));
  ASSERT_EQ(measured.size(), 1u);
  EXPECT_EQ(measured[0].key(), "psnr_db");
  expect_close(measured[0].per_example, values({20, -10 * std::log10(0.04), -10 * std::log10(0.09)}), 1e-9);
  EXPECT_NEAR(measured[0].value, (20 - 10 * std::log10(0.04) - 10 * std::log10(0.09)) / 3, 1e-9);
}

TEST(Ssim, MetricGivesARowAnExample) {
  Greyer model;
  const auto measured = metrics().make("ssim")->evaluate(context_of(model, {1, 12, 12}));
  ASSERT_EQ(measured.size(), 1u);
  EXPECT_EQ(measured[0].key(), "ssim");
  expect_close(measured[0].per_example, values({1e-4 / (0.01 + 1e-4), 1e-4 / (0.04 + 1e-4), 1e-4 / (0.09 + 1e-4)}), 1e-6);
}

TEST(MsSsim, MetricTakesTheScalesThatFitAndSaysSo) {
  Greyer model;
  const auto measured = metrics().make("ms_ssim")->evaluate(context_of(model, {1, 22, 24}));
  ASSERT_EQ(measured.size(), 2u);
  EXPECT_EQ(measured[0].key(), "ms_ssim");
  EXPECT_EQ(measured[1].key(), "ms_ssim_db");
  EXPECT_EQ(measured[0].note, "of 2 scales, for that many fit; published numbers have 5");
  // Constant pictures have all of their structure, so that the luminance of the coarser scale alone is less than 1.
  const auto luminance = values({1e-4 / (0.01 + 1e-4), 1e-4 / (0.04 + 1e-4), 1e-4 / (0.09 + 1e-4)});
  const auto expected = luminance.pow(0.2856 / (0.0448 + 0.2856));
  expect_close(measured[0].per_example, expected, 1e-6);
  expect_close(measured[1].per_example, -10 * (1 - expected).log10(), 1e-5);
  EXPECT_EQ(metrics().make("ms_ssim")->evaluate(context_of(model, {1, 161, 162}))[0].note, "5 scales, values in [0, 1]");
}

TEST(MsSsim, ClampsReconstructionsAsAScreenWould) {
  const auto x = torch::ones({1, 1, 22, 22}, torch::kDouble);
  expect_close(ms_ssim(x, x + 0.5, 2), 1, 1e-12);
}

TEST(ImageQuality, IsRefusedForDataThatAreNoPictures) {
  Greyer model;
  const auto refusal = [&](const char* metric, Shape shape, ValueKind kind) {
    return fakes::message_of([&] { metrics().make(metric)->check(context_of(model, std::move(shape), kind)); });
  };
  EXPECT_EQ(refusal("psnr", {4}, ValueKind::real), "metric 'psnr' needs data in [0, 1]; x is real numbers");
  EXPECT_EQ(refusal("ssim", {4}, ValueKind::table), "metric 'ssim' needs data in [0, 1]; x is a table");
  EXPECT_EQ(refusal("ssim", {1, 8, 8}, ValueKind::unit),
            "metric 'ssim' needs pictures of at least 11 x 11 pixels; x is [1, 8, 8]");
  EXPECT_EQ(refusal("ms_ssim", {1, 8, 8}, ValueKind::unit),
            "metric 'ms_ssim' needs pictures of at least 11 x 11 pixels; x is [1, 8, 8]");
}

}  // namespace image_quality_test
